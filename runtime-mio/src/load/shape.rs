//! How large a load is: who is in which channel, who speaks, how long a frame is.
//!
//! Members are dealt to the channels one after the other, and the first of them speak. So channels
//! and their speakers differ by one at most, and what must arrive is arithmetic.

use anyhow::{Result, ensure};
use lvsp_core::entropy::SeededEntropy;

use super::stamp::STAMP_BYTES;

/// Packets a second that could not be forwarded by any machine of today; what is asked beyond them
/// is a slip of the keyboard.
const FORWARDED_PER_S_MAX: u64 = 20_000_000;
/// Frames of one speaker in a second.
pub const FRAMES_PER_S: u64 = 50;
/// The longest payload that a server forwards by default (`limits.payload_bytes`).
const PAYLOAD_BYTES_MAX: usize = 1_340;

/// Members, speakers and channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Everybody, the speakers included.
    pub members: usize,
    /// Who talks, each 50 frames a second.
    pub speakers: usize,
    /// Over which the members are spread.
    pub channels: usize,
}

impl Shape {
    /// Checks that the numbers go together.
    ///
    /// # Errors
    /// Which of them does not, and what is allowed.
    pub fn check(&self) -> Result<()> {
        let Self { members, speakers, channels } = *self;
        ensure!(members > 0, "--members must be at least 1");
        ensure!(
            (1..=members).contains(&channels),
            "--channels {channels}: there must be at least 1, and no more than members ({members})"
        );
        ensure!(
            speakers <= members,
            "--speakers {speakers}: speakers are members, and there are only {members}"
        );
        let forwarded = self.forwarded_per_s();
        ensure!(
            forwarded <= FORWARDED_PER_S_MAX,
            "{speakers} speakers among {members} members in {channels} channels are {forwarded} \
             forwarded packets/s; at most {FORWARDED_PER_S_MAX} can be asked for"
        );
        Ok(())
    }

    /// The channel of a member.
    #[must_use]
    pub const fn channel(&self, member: usize) -> usize {
        member % self.channels
    }

    /// How many members a channel has.
    #[must_use]
    pub const fn members_of(&self, channel: usize) -> usize {
        dealt(self.members, self.channels, channel)
    }

    /// How many hear a speaker: everybody else in its channel.
    #[must_use]
    pub const fn listeners(&self, speaker: usize) -> u64 {
        self.members_of(self.channel(speaker)).saturating_sub(1) as u64
    }

    /// The most speakers in one channel.
    #[must_use]
    pub const fn speakers_per_channel(&self) -> usize {
        self.speakers.div_ceil(self.channels)
    }

    /// What a server has to send while everybody talks, in packets a second.
    #[must_use]
    pub fn forwarded_per_s(&self) -> u64 {
        (0..self.speakers).map(|speaker| self.listeners(speaker) * FRAMES_PER_S).sum()
    }
}

/// How many of `count` things fall to pile `at` when they are dealt to `piles`.
const fn dealt(count: usize, piles: usize, at: usize) -> usize {
    count / piles + (at < count % piles) as usize
}

/// How long frames are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sizes {
    /// As those of speech at 64 kbit/s with a variable bit rate: 72 to 262 bytes, 160 on average.
    Opus,
    /// Always as long.
    Fixed(usize),
}

/// The middles of sixteen equally frequent groups of frames of speech at 64 kbit/s, in bytes. 160
/// on average, as the bit rate wants it; the spread is that of a variable bit rate, which makes
/// pauses between words short and consonants long.
const OPUS: [usize; 16] =
    [72, 94, 110, 122, 132, 140, 147, 154, 160, 167, 175, 184, 196, 211, 234, 262];

impl Sizes {
    /// Reads `opus`, or a number of bytes.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "opus" {
            return Ok(Self::Opus);
        }
        let bytes = text.parse().ok().filter(|n| (STAMP_BYTES..=PAYLOAD_BYTES_MAX).contains(n));
        let Some(bytes) = bytes else {
            anyhow::bail!("neither `opus` nor {STAMP_BYTES} to {PAYLOAD_BYTES_MAX} bytes")
        };
        Ok(Self::Fixed(bytes))
    }

    /// The length of the next frame, in bytes.
    pub fn draw(self, random: &mut SeededEntropy) -> usize {
        match self {
            Self::Opus => OPUS[(random.next_u64() >> 60) as usize],
            Self::Fixed(bytes) => bytes,
        }
    }
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Opus => f.write_str("opus"),
            Self::Fixed(bytes) => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(members: usize, speakers: usize, channels: usize) -> Shape {
        Shape { members, speakers, channels }
    }

    #[test]
    fn one_channel_forwards_to_everybody_but_the_speaker() {
        assert_eq!(shape(200, 20, 1).forwarded_per_s(), 199_000);
        assert_eq!(shape(1, 1, 1).forwarded_per_s(), 0);
    }

    #[test]
    fn members_and_speakers_are_dealt_evenly() {
        let uneven = shape(11, 4, 3);
        let members: Vec<_> = (0..3).map(|channel| uneven.members_of(channel)).collect();
        assert_eq!(members, [4, 4, 3]);
        let by_counting: Vec<_> = (0..3)
            .map(|at| (0..11).filter(|member| uneven.channel(*member) == at).count())
            .collect();
        assert_eq!(members, by_counting);
        let listeners: Vec<_> = (0..4).map(|speaker| uneven.listeners(speaker)).collect();
        assert_eq!(listeners, [3, 3, 2, 3]);
        assert_eq!(uneven.speakers_per_channel(), 2);
        assert_eq!(uneven.forwarded_per_s(), 11 * 50);
    }

    #[test]
    fn numbers_that_do_not_go_together_are_refused_by_name() {
        let words = |shape: Shape| shape.check().unwrap_err().to_string();
        assert!(words(shape(0, 0, 1)).starts_with("--members"));
        assert!(words(shape(5, 6, 1)).starts_with("--speakers 6"));
        assert!(words(shape(5, 1, 6)).starts_with("--channels 6"));
        assert!(words(shape(5, 1, 0)).starts_with("--channels 0"));
        assert!(words(shape(10_000, 10_000, 1)).contains("at most 20000000"));
        assert!(shape(10_000, 10_000, 1_000).check().is_ok());
    }

    #[test]
    fn frames_of_speech_take_64_kbit_per_s() {
        let mut random = SeededEntropy::new(1);
        let lengths: Vec<_> = (0..16_000).map(|_| Sizes::Opus.draw(&mut random)).collect();
        let mean = lengths.iter().sum::<usize>() / lengths.len();
        assert!((158..=162).contains(&mean), "{mean}");
        assert_eq!(OPUS.iter().sum::<usize>(), 16 * 160);
    }

    #[test]
    fn sizes_are_read_and_shown() {
        for text in ["opus", "24", "120", "1340"] {
            assert_eq!(Sizes::parse(text).unwrap().to_string(), text);
        }
        for text in ["23", "1341", "speech", ""] {
            assert!(Sizes::parse(text).unwrap_err().to_string().contains("24 to 1340"), "{text}");
        }
    }
}
