//! The registry of kinds: one file and one line for each.

mod hard_delete_tenant;
mod probe;
mod provision_namespace;
mod send_notification;

pub use hard_delete_tenant::HardDeleteTenant;
pub use probe::Probe;
pub use provision_namespace::ProvisionNamespace;
pub use send_notification::SendNotification;

use super::{KindSpec, kind::JobKind};

/// Every kind that this binary knows.
pub static KINDS: &[KindSpec] = &[
    KindSpec::of::<ProvisionNamespace>(),
    KindSpec::of::<SendNotification>(),
    KindSpec::of::<HardDeleteTenant>(),
    KindSpec::of::<Probe>(),
];

/// The kind of this name.
#[must_use]
pub fn find_kind(name: &str) -> Option<&'static KindSpec> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The description of kind `K`.
#[must_use]
pub const fn spec_of<K: JobKind>() -> KindSpec {
    KindSpec::of::<K>()
}

/// Every queue that a kind belongs to, each once.
#[must_use]
pub fn queue_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.queue).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_sane_limits() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert!(
                !KINDS[..index].iter().any(|other| other.name == kind.name),
                "{}",
                kind.name
            );
            assert!(
                (1..=100).contains(&kind.retry.max_attempts),
                "{}",
                kind.name
            );
            assert!(
                (1..=86_400).contains(&kind.timeout.as_secs()),
                "{}",
                kind.name
            );
        }
    }

    #[test]
    fn a_payload_with_an_unknown_field_is_refused_with_its_place() {
        let error = find_kind("probe")
            .unwrap()
            .check_payload(&serde_json::json!({"sleep_ms": "long"}))
            .unwrap_err();
        assert_eq!(error.pointer, "/sleep_ms");
    }
}
