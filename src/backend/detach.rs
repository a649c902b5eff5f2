//! The keys that leave a session without ending its program: `ctrl-p,ctrl-q`, or what
//! `--detach-keys` says.

/// A sequence of keys, as the bytes a terminal in raw mode sends for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(Vec<u8>);

impl Default for Keys {
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

impl Keys {
    /// Returns the keys of a text such as `ctrl-p,ctrl-q` or `a,ctrl-\`; the usual ones for none.
    ///
    /// # Errors
    /// When a part is neither one character nor `ctrl-` and one of `a`–`z @ [ \ ] ^ _`.
    pub fn parse(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::default()) };
        let byte = |part: &str| -> Option<u8> {
            if let [single] = part.as_bytes() {
                return single.is_ascii().then_some(*single);
            }
            match part.to_ascii_lowercase().strip_prefix("ctrl-")?.as_bytes() {
                [letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => {
                    Some(letter.to_ascii_uppercase() & 0x1f)
                }
                _ => None,
            }
        };
        text.split(',')
            .map(|part| {
                byte(part).ok_or_else(|| {
                    format!("invalid detach keys ({text}): unknown character: '{part}'")
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Watches input for the keys. Keys of a sequence that isn't complete are held back until the next
/// key shows whether it will be.
#[derive(Debug)]
pub struct Detach {
    keys: Keys,
    held: usize,
}

impl Detach {
    /// Returns a watcher for these keys.
    pub fn new(keys: Keys) -> Self {
        Self { keys, held: 0 }
    }

    /// Takes in input; returns what is to be passed on, and whether the keys were all there.
    pub fn feed(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let keys = &self.keys.0;
        let mut out = Vec::with_capacity(input.len());
        for &byte in input {
            if byte == keys[self.held] {
                self.held += 1;
                if self.held == keys.len() {
                    self.held = 0;
                    return (out, true);
                }
                continue;
            }
            // Let go of the first held key until what remains, with this one, begins the sequence.
            let mut tail = keys[..self.held].to_vec();
            tail.push(byte);
            let begins = (1..=tail.len())
                .find(|skip| keys.starts_with(&tail[*skip..]))
                .unwrap_or(tail.len());
            out.extend_from_slice(&tail[..begins]);
            self.held = tail.len() - begins;
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_texts() {
        assert_eq!(Keys::parse(None), Ok(Keys(vec![16, 17])));
        assert_eq!(Keys::parse(Some("")), Ok(Keys(vec![16, 17])));
        assert_eq!(Keys::parse(Some("ctrl-p,Ctrl-Q")), Ok(Keys(vec![16, 17])));
        assert_eq!(Keys::parse(Some("a,ctrl-@,ctrl-\\")), Ok(Keys(vec![b'a', 0, 28])));
        for bad in ["ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-pp", "é"] {
            assert!(Keys::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn sequence_is_found_across_reads() {
        let mut detach = Detach::new(Keys::default());
        assert_eq!(detach.feed(b"ls\n"), (b"ls\n".to_vec(), false));
        assert_eq!(detach.feed(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(detach.feed(b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(detach.feed(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(detach.feed(b"\x11rest"), (Vec::new(), true));
        assert_eq!(detach.feed(b"\x11"), (b"\x11".to_vec(), false));
    }

    #[test]
    fn overlapping_sequences() {
        let mut detach = Detach::new(Keys::parse(Some("a,a,b")).unwrap());
        assert_eq!(detach.feed(b"aaab"), (b"a".to_vec(), true));
        assert_eq!(detach.feed(b"aacaa"), (b"aac".to_vec(), false));
        assert_eq!(detach.feed(b"b"), (Vec::new(), true));
        let mut single = Detach::new(Keys::parse(Some("x")).unwrap());
        assert_eq!(single.feed(b"12x3"), (b"12".to_vec(), true));
    }
}
