//! What each client library says to the voice gateway, literally.
//!
//! Each profile names the library, its version and the file that the messages were read in. Words in
//! capitals stand for values of the conversation. `profiles` holds the conversations.

mod javascript;
mod jvm;
mod others;
mod python;

/// What a library does with the voice gateway.
pub(crate) struct Profile {
    pub(crate) library: &'static str,
    pub(crate) file: &'static str,
    pub(crate) target: &'static str,
    /// The bytes of its discovery request.
    pub(crate) discovery: usize,
    pub(crate) identify: &'static str,
    pub(crate) select: &'static str,
    /// Between Select Protocol and its Session Description, or right behind it.
    pub(crate) behind_select: &'static [&'static str],
    /// What it sends, and what it has to be answered.
    pub(crate) heartbeats: &'static [(&'static str, &'static str)],
    pub(crate) speaking: &'static str,
    /// Empty for one that does not resume.
    pub(crate) resume: &'static str,
    pub(crate) hello: &'static str,
    pub(crate) resumed: &'static str,
    pub(crate) old_versions: bool,
    pub(crate) legacy_modes: bool,
}

/// What most clients of version 8 have in common.
const V8: Profile = Profile {
    library: "",
    file: "",
    target: "",
    discovery: 74,
    identify: "",
    select: "",
    behind_select: &[],
    heartbeats: &[],
    speaking: "",
    resume: "",
    hello: r#"{"op":8,"d":{"v":8,"heartbeat_interval":13750}}"#,
    resumed: r#"{"op":9,"d":null}"#,
    old_versions: false,
    legacy_modes: false,
};

const V4: Profile = Profile { hello: r#"{"op":8,"d":{"v":4,"heartbeat_interval":13750}}"#, ..V8 };

/// All of them.
pub(crate) fn profiles() -> impl Iterator<Item = &'static Profile> {
    [javascript::PROFILES, python::PROFILES, jvm::PROFILES, others::PROFILES].into_iter().flatten()
}

impl Profile {
    /// Whether its messages are numbered.
    pub(crate) fn numbered(&self) -> bool {
        self.target.contains("v=8") || self.target.contains("v=9")
    }
}
