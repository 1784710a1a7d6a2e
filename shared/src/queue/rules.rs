//! What operators decide, brought to where admission obeys it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Gate, GateError};
use crate::{
    ids::TenantId,
    jobs::{Switch, SwitchAction, SwitchSet},
    tenancy::{JobLimits, LimitsAt},
};

impl Gate {
    /// Sets tenants' limits. Lowering one ends no job; a tenant without limits runs nothing. What was
    /// read before the limits that the gate has is left out, so calls may come late and in any order.
    pub async fn set_limits(&self, limits: &[LimitsAt]) -> Result<(), GateError> {
        if limits.is_empty() {
            return Ok(());
        }
        let mut call = self.begin(&self.scripts.set_limits);
        for at in limits {
            call.arg(at.tenant_id.as_str()).arg(limits_text(at));
        }
        let _: i64 = self.invoke("set limits", &call).await?;
        Ok(())
    }

    /// Sets the switches: these and no others are on. Only pauses concern admission. A set that was
    /// read before the one that the gate has is left out.
    pub async fn set_switches(&self, set: &SwitchSet) -> Result<(), GateError> {
        let mut call = self.begin(&self.scripts.set_switches);
        call.arg(set.version);
        for switch in &set.switches {
            if let Some(scope) = pause_scope(switch) {
                call.arg(scope).arg(switch.expires_at.timestamp_millis());
            }
        }
        let _: i64 = self.invoke("set switches", &call).await?;
        Ok(())
    }

    /// Those of these tenants whose limits the gate has otherwise.
    pub(super) async fn differing_limits(
        &self,
        limits: &[LimitsAt],
    ) -> Result<Vec<TenantId>, GateError> {
        if limits.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.key("limits"));
        for at in limits {
            command.arg(at.tenant_id.as_str());
        }
        let known: Vec<Option<String>> = command
            .query_async(&mut self.connection.clone())
            .await
            .map_err(GateError::call("look limits up"))?;
        let pairs = limits.iter().zip(known);
        Ok(pairs
            .filter(|(at, known)| known.as_deref() != Some(limits_text(at).as_str()))
            .map(|(at, _)| at.tenant_id.clone())
            .collect())
    }

    /// The scopes whose pauses the gate has otherwise than this set, each as `tenant/kind`. A pause that
    /// is over by now counts in neither.
    pub(super) async fn differing_pauses(&self, set: &SwitchSet) -> Result<Vec<String>, GateError> {
        let known: BTreeMap<String, i64> = redis::cmd("HGETALL")
            .arg(self.key("paused"))
            .query_async(&mut self.connection.clone())
            .await
            .map_err(GateError::call("look pauses up"))?;
        let now = self.clock.now().timestamp_millis();
        let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
        for switch in &set.switches {
            if let Some(scope) = pause_scope(switch) {
                let until = wanted.entry(scope).or_default();
                *until = switch.expires_at.timestamp_millis().max(*until);
            }
        }
        let lasting = |pauses: BTreeMap<String, i64>| -> BTreeSet<(String, i64)> {
            pauses
                .into_iter()
                .filter(|(_, until)| *until > now)
                .collect()
        };
        let (known, wanted) = (lasting(known), lasting(wanted));
        let scopes = known.symmetric_difference(&wanted);
        let scopes: BTreeSet<String> = scopes.map(|(scope, _)| scope.replace('\t', "/")).collect();
        Ok(scopes.into_iter().collect())
    }
}

/// The scope of a pause as `lua/prelude.lua` reads it; a drain has none.
fn pause_scope(switch: &Switch) -> Option<String> {
    match switch.action {
        SwitchAction::Pause => {
            let tenant = switch.scope.tenant.as_ref().map_or("", TenantId::as_str);
            let kind = switch.scope.kind.as_deref().unwrap_or_default();
            Some(format!("{tenant}\t{kind}"))
        }
        SwitchAction::Drain => None,
    }
}

/// Limits as `lua/prelude.lua` reads them.
fn limits_text(at: &LimitsAt) -> String {
    let JobLimits {
        max_concurrent,
        weight,
        per_kind,
        max_waiting: _,
    } = &at.limits;
    let mut text = format!("{max_concurrent}:{}:{}", weight.max(&1), at.version);
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
        let at = LimitsAt {
            tenant_id: TenantId::parse("acme").unwrap(),
            version: 7,
            limits,
        };
        assert_eq!(limits_text(&at), "5:2:7:probe=3:report=0");
    }
}
