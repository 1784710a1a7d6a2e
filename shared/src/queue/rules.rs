//! What operators decide, brought to where admission obeys it.

use super::{Gate, GateError};
use crate::{
    ids::TenantId,
    jobs::{Switch, SwitchAction},
    tenancy::JobLimits,
};

impl Gate {
    /// Sets tenants' limits. Lowering one ends no job; a tenant without limits runs nothing.
    pub async fn set_limits(&self, limits: &[(TenantId, JobLimits)]) -> Result<(), GateError> {
        if limits.is_empty() {
            return Ok(());
        }
        let mut call = self.begin(&self.scripts.set_limits);
        for (tenant, limits) in limits {
            call.arg(tenant.as_str()).arg(text(limits));
        }
        let _: i64 = self.invoke("set limits", &call).await?;
        Ok(())
    }

    /// Sets the switches: these and no others are on. Only pauses concern admission.
    pub async fn set_switches(&self, switches: &[Switch]) -> Result<(), GateError> {
        let mut call = self.begin(&self.scripts.set_switches);
        for switch in switches {
            match switch.action {
                SwitchAction::Pause => {
                    let tenant = switch.scope.tenant.as_ref().map_or("", TenantId::as_str);
                    let kind = switch.scope.kind.as_deref().unwrap_or_default();
                    call.arg(format!("{tenant}\t{kind}"))
                        .arg(switch.expires_at.timestamp_millis());
                }
                SwitchAction::Drain => {}
            }
        }
        let _: i64 = self.invoke("set switches", &call).await?;
        Ok(())
    }
}

/// Limits as `lua/prelude.lua` reads them.
fn text(limits: &JobLimits) -> String {
    let JobLimits {
        max_concurrent,
        weight,
        per_kind,
        max_waiting: _,
    } = limits;
    let mut text = format!("{max_concurrent}:{}", weight.max(&1));
    for (kind, most) in per_kind {
        text.extend([":", kind, "=", &most.to_string()]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_kinds_follow_the_tenants_own() {
        let limits = JobLimits {
            max_concurrent: 5,
            weight: 2,
            per_kind: [("probe".to_owned(), 3), ("report".to_owned(), 0)].into(),
            max_waiting: 10,
        };
        assert_eq!(text(&limits), "5:2:probe=3:report=0");
    }
}
