//! A JSON reader that takes what RFC 8259 says and nothing else, to hold the protocols' readers
//! against. It shares no code with them.

/// A JSON text, read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Json<'a> {
    /// Keys in their order, duplicates included; `None` for one that is no Unicode text.
    Object(Vec<(Option<String>, Json<'a>)>),
    Array(Vec<Json<'a>>),
    /// `None` for one that is no Unicode text: half of a surrogate pair is legal syntax.
    Text(Option<String>),
    /// As it is written.
    Number(&'a str),
    /// `true`, `false` or `null`.
    Word(&'a str),
}

/// Nesting that is followed; what is deeper counts as no JSON.
const DEPTH: usize = 128;

impl<'a> Json<'a> {
    /// Reads a whole text; `None` if it is no JSON.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let json = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(json)
    }

    /// How deep it nests; 0 for what is neither object nor array.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Object(fields) => {
                1 + fields.iter().map(|(_, value)| value.depth()).max().unwrap_or_default()
            }
            Self::Array(values) => 1 + values.iter().map(Self::depth).max().unwrap_or_default(),
            Self::Text(_) | Self::Number(_) | Self::Word(_) => 0,
        }
    }

    /// The values of a key, of which there can be several.
    fn all(&self, key: &str) -> Vec<&Self> {
        let fields = if let Self::Object(fields) = self { &fields[..] } else { &[] };
        let named = fields.iter().filter(|(name, _)| name.as_deref() == Some(key));
        named.map(|(_, value)| value).collect()
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.all(key).first().copied()
    }

    /// The value at a dotted path.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |inner, key| inner.get(key))
    }

    /// How often the last part of a dotted path occurs.
    pub(crate) fn count(&self, path: &str) -> usize {
        match path.split_once('.') {
            Some((key, rest)) => self.get(key).map_or(0, |inner| inner.count(rest)),
            None => self.all(path).len(),
        }
    }

    /// Whether some key in it is no Unicode text.
    pub(crate) fn has_broken_key(&self) -> bool {
        match self {
            Self::Object(fields) => {
                fields.iter().any(|(key, value)| key.is_none() || value.has_broken_key())
            }
            Self::Array(values) => values.iter().any(Self::has_broken_key),
            Self::Text(_) | Self::Number(_) | Self::Word(_) => false,
        }
    }

    /// Whether some key of this object itself is no Unicode text.
    pub(crate) fn has_broken_root_key(&self) -> bool {
        matches!(self, Self::Object(fields) if fields.iter().any(|(key, _)| key.is_none()))
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Word("null")
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        self.space();
        match self.peek()? {
            b'{' | b'[' if depth == DEPTH => None,
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string().map(Json::Text),
            b'-' | b'0'..=b'9' => self.number(),
            _ => ["true", "false", "null"].into_iter().find_map(|word| self.word(word)),
        }
    }

    fn word(&mut self, word: &'static str) -> Option<Json<'a>> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            Json::Word(word)
        })
    }

    fn object(&mut self, depth: usize) -> Option<Json<'a>> {
        let mut fields = Vec::new();
        self.take(b'{')?;
        self.space();
        if self.take(b'}').is_some() {
            return Some(Json::Object(fields));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.take(b':')?;
            fields.push((key, self.value(depth)?));
            self.space();
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Json::Object(fields));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json<'a>> {
        let mut values = Vec::new();
        self.take(b'[')?;
        self.space();
        if self.take(b']').is_some() {
            return Some(Json::Array(values));
        }
        loop {
            values.push(self.value(depth)?);
            self.space();
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Json::Array(values));
            }
        }
    }

    fn number(&mut self) -> Option<Json<'a>> {
        let start = self.at;
        let _sign = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(Json::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// A string. The outer `None` is no JSON, the inner one no Unicode text.
    fn string(&mut self) -> Option<Option<String>> {
        self.take(b'"')?;
        // UTF-16 units, as the escapes are.
        let mut units = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let next = rest.chars().next()?;
            self.at += next.len_utf8();
            match next {
                '"' => return Some(String::from_utf16(&units).ok()),
                '\\' => units.push(self.escape()?),
                '\0'..='\u{1F}' => return None,
                _ => units.extend(next.encode_utf16(&mut [0; 2]).iter()),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        let escape = self.peek()?;
        self.at += 1;
        Some(match escape {
            b'"' | b'\\' | b'/' => u16::from(escape),
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'f' => 12,
            b'r' => 13,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                self.at += 4;
                u16::from_str_radix(digits, 16).ok().filter(|_| plain)?
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_json_and_nothing_else() {
        for text in ["{}", " [1,-0.5e+3,\"\\ud800\"]\n", r#"{"a":{"a":null},"a":[]}"#, "0"] {
            assert!(Json::read(text).is_some(), "{text}");
        }
        for text in
            ["", "{", "{}x", "[1,]", "01", "1.", "+1", "nul", "\"\u{1}\"", "\"\\x\"", "{a:1}"]
        {
            assert_eq!(Json::read(text), None, "{text}");
        }
        let json = Json::read(r#"{"a":{"b":1,"\u0062":2}}"#).expect("it is JSON");
        assert_eq!((json.count("a"), json.count("a.b"), json.depth()), (1, 2, 2));
    }
}
