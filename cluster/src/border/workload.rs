//! Replica sets and jobs: only who owns them.

use serde::Deserialize;

use super::InvalidObject;
use super::meta::{RawMeta, Scope};
use crate::objects::Controller;

#[derive(Deserialize)]
pub(super) struct RawController {
    #[serde(default)]
    metadata: RawMeta,
}

pub(super) fn controller(kind: &str, raw: RawController) -> Result<Controller, InvalidObject> {
    let RawController { metadata } = raw;
    Ok(Controller { kind: kind.into(), meta: metadata.checked(Scope::Namespaced)?, owners: metadata.owners()? })
}
