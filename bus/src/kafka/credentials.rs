//! The files that prove who we are: the password that one of them holds, and whether any of them changed.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::settings::KafkaSettings;
use crate::BusError;

/// A password. It is never printed.
pub(super) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Reads the password out of its file.
    pub(super) fn read(file: &PathBuf) -> Result<Self, BusError> {
        let unavailable = |reason: String| BusError::Unavailable { reason };
        let text = fs::read_to_string(file)
            .map_err(|error| unavailable(format!("cannot read the password file `{}`: {error}", file.display())))?;
        let password = text.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(unavailable(format!("the password file `{}` is empty", file.display())));
        }
        Ok(Self(password.to_owned()))
    }

    /// Returns the password, for the client alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// What the files looked like when a client was made of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<Option<(u64, u64, i64, i64)>>);

impl Fingerprint {
    /// Looks at the files now. A file that cannot be looked at is told apart from any that can.
    pub(super) fn of(settings: &KafkaSettings) -> Self {
        let tls = settings.tls.as_ref();
        let identity = tls.and_then(|tls| tls.identity.as_ref());
        let files = [
            tls.and_then(|tls| tls.ca_file.as_ref()),
            identity.map(|identity| &identity.certificate_file),
            identity.map(|identity| &identity.key_file),
            settings.sasl.as_ref().map(|sasl| &sasl.password_file),
        ];
        let look = |file: &PathBuf| {
            let found = fs::metadata(file).ok()?;
            Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        Self(files.into_iter().flatten().map(look).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_without_its_line_end_and_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        for (text, expected) in [("pa ss", "pa ss"), ("pass\n", "pass"), ("pass\r\n", "pass")] {
            fs::write(&file, text).unwrap();
            let secret = Secret::read(&file).unwrap();
            assert_eq!(secret.reveal(), expected);
            assert_eq!(format!("{secret:?}"), "Secret(..)");
        }
        fs::write(&file, "\n").unwrap();
        assert!(Secret::read(&file).unwrap_err().to_string().contains("is empty"));
        fs::remove_file(&file).unwrap();
        assert!(Secret::read(&file).unwrap_err().to_string().contains("cannot read"));
    }
}
