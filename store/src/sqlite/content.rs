//! The key of a dictionary entry: a hash of its content, so that equal content is stored once a file.
//!
//! SHA-256 cut to 16 bytes: names and labels are chosen by others, and two contents under one key would give a record
//! somebody else's name.

use sha2::{Digest, Sha256};

/// The key of a content.
pub(super) type ContentKey = [u8; 16];

/// Hashes a content field by field; each field is told apart by its length.
pub(super) struct ContentHasher(Sha256);

impl ContentHasher {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a text that may be absent; absent differs from every text.
    pub(super) fn option(mut self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => {
                self.0.update(u64::MAX.to_le_bytes());
                self
            }
        }
    }

    /// Adds a list of texts.
    pub(super) fn list(mut self, texts: &[String]) -> Self {
        self.0.update((texts.len() as u64).to_le_bytes());
        texts.iter().fold(self, |hasher, text| hasher.text(text))
    }

    pub(super) fn finish(self) -> ContentKey {
        let hash = self.0.finalize();
        let mut key = ContentKey::default();
        key.copy_from_slice(&hash[..16]);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_neighbouring_fields_apart() {
        let of = |parts: &[Option<&str>]| {
            parts.iter().fold(ContentHasher::new(), |hasher, part| hasher.option(*part)).finish()
        };
        assert_ne!(of(&[Some("ab"), Some("c")]), of(&[Some("a"), Some("bc")]));
        assert_ne!(of(&[Some(""), None]), of(&[None, Some("")]));
        assert_ne!(
            ContentHasher::new().list(&["a".into()]).list(&[]).finish(),
            ContentHasher::new().list(&[]).list(&["a".into()]).finish()
        );
    }
}
