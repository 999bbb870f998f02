//! The folder of Kubernetes objects that describe the laboratory, carried in the binary.

use std::fs;
use std::io;
use std::path::Path;

/// The files: name and text.
pub const FILES: &[(&str, &str)] = &[
    ("00-namespaces.yaml", include_str!("../manifests/00-namespaces.yaml")),
    ("10-nodes.yaml", include_str!("../manifests/10-nodes.yaml")),
    ("20-workloads.yaml", include_str!("../manifests/20-workloads.yaml")),
    ("30-pods.yaml", include_str!("../manifests/30-pods.yaml")),
    ("40-services.yaml", include_str!("../manifests/40-services.yaml")),
    ("50-network-sets.yaml", include_str!("../manifests/50-network-sets.yaml")),
    ("60-tiers.yaml", include_str!("../manifests/60-tiers.yaml")),
    ("70-policies.yaml", include_str!("../manifests/70-policies.yaml")),
    ("80-staged.yaml", include_str!("../manifests/80-staged.yaml")),
];

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

#[cfg(test)]
mod tests;
