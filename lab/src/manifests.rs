//! The folder of Kubernetes objects that describe the laboratory, carried in the binary.

use std::fs;
use std::io;
use std::path::Path;

/// The files: name and text.
pub const FILES: &[(&str, &str)] = &[];

/// Writes all manifests to a folder, which is made if it is not there.
///
/// # Errors
/// If the folder or a file cannot be written.
pub fn copy_to(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
