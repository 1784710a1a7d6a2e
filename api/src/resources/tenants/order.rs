//! What a new tenant is asked to be, and what of it can be accepted.

use serde::Deserialize;
use serde_json::{Map, Value};
use unity_shared::{
    ids::{InvalidTenantId, TenantId, TenantUid},
    people::EmailAddress,
    tenancy::{NewTenant, Plan, QUOTA_MAX, QuotaOverrides},
};

use crate::{
    error::ApiError,
    extract::with_plain_numbers,
    problem::FieldError,
    violations::{Violations, escape_segment},
};

/// A tenant to be made.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantOrder {
    /// The slug: it names the tenant in addresses and its namespace, and never changes. Names of the
    /// platform and two hyphens in a row are reserved.
    #[schema(
        pattern = "^[a-z0-9]([a-z0-9-]{1,40}[a-z0-9])?$",
        example = "acme-corp"
    )]
    id: String,
    /// What people call it.
    #[schema(
        min_length = 1,
        max_length = 200,
        format = "words",
        example = "Acme Corporation"
    )]
    name: String,
    /// Its plan. Absent = `free`.
    #[serde(default)]
    plan: Option<Plan>,
    /// Quotas of its own; the plan gives the rest.
    #[serde(default)]
    #[schema(value_type = Option<QuotaOverrides>)]
    resource_quota: Option<Map<String, Value>>,
    /// The first administrator's address. Absent = `admin@{id}.com`.
    #[serde(default)]
    #[schema(format = Email, min_length = 3, max_length = 254)]
    admin_email: Option<String>,
}

/// An order whose every value can be accepted.
#[derive(Debug)]
pub struct AcceptedTenant {
    /// The tenant.
    pub tenant: NewTenant,
    /// Its first administrator's address.
    pub admin_email: String,
}

impl TenantOrder {
    /// Checks every value.
    pub fn accept(self) -> Result<AcceptedTenant, ApiError> {
        let Self {
            id,
            name,
            plan,
            resource_quota,
            admin_email,
        } = self;
        let quota = read_quota(&with_plain_numbers(resource_quota.unwrap_or_default()))?;
        let mut violations = Violations::default();
        let tenant_id = TenantId::parse(&id);
        match &tenant_id {
            Ok(id) if id.reads_as_environment() => {
                let detail = "two hyphens in a row are reserved for environments of a tenant";
                violations.add("/id", "reserved", detail);
            }
            Ok(_) => {}
            Err(error) => {
                let code = match error {
                    InvalidTenantId::Shape => "format",
                    InvalidTenantId::Reserved => "reserved",
                };
                violations.add("/id", code, &error.to_string());
            }
        }
        violations.text("/name", &name, &(1..=200));
        if name.trim().is_empty() {
            violations.add("/name", "blank", "must not be blank");
        }
        if admin_email
            .as_deref()
            .is_some_and(|email| EmailAddress::parse(email).is_err())
        {
            violations.add("/admin_email", "format", "must be an e-mail address");
        }
        for key in quota.too_large() {
            let pointer = format!("/resource_quota/{key}");
            violations.add(pointer, "range", &format!("must be from 0 to {QUOTA_MAX}"));
        }
        violations.finish()?;
        let id = tenant_id.map_err(|error| ApiError::Defect(error.to_string()))?;
        Ok(AcceptedTenant {
            admin_email: admin_email.unwrap_or_else(|| format!("admin@{id}.com")),
            tenant: NewTenant {
                id,
                uid: TenantUid::new(),
                name,
                plan: plan.unwrap_or(Plan::Free),
                quota,
            },
        })
    }
}

/// Unknown names and values that are no whole numbers are malformed; whole numbers outside of the
/// range are not acceptable. The two differ in status, so the type alone cannot read them.
pub fn read_quota(stated: &Map<String, Value>) -> Result<QuotaOverrides, ApiError> {
    let mut violations = Violations::default();
    for (key, value) in stated {
        let pointer = format!("/resource_quota/{}", escape_segment(key));
        let one = Value::Object(Map::from_iter([(key.clone(), Value::from(0))]));
        if let Err(error) = serde_json::from_value::<QuotaOverrides>(one) {
            return Err(malformed(pointer, "unknown", &error.to_string()));
        }
        match value.as_i64() {
            Some(number) => violations.range(&pointer, number, &(0..=i64::from(QUOTA_MAX))),
            None if value.is_null() => {}
            None if value.is_u64() => {
                violations.add(pointer, "range", &format!("must be from 0 to {QUOTA_MAX}"));
            }
            None => return Err(malformed(pointer, "form", "must be a whole number")),
        }
    }
    violations.finish()?;
    serde_json::from_value(Value::Object(stated.clone()))
        .map_err(|error| malformed("/resource_quota".to_owned(), "form", &error.to_string()))
}

fn malformed(pointer: String, code: &'static str, detail: &str) -> ApiError {
    ApiError::Body(FieldError {
        pointer,
        code,
        detail: detail.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn accept(order: Value) -> Result<AcceptedTenant, ApiError> {
        serde_json::from_value::<TenantOrder>(order)
            .unwrap()
            .accept()
    }

    fn faults(order: Value) -> (bool, Vec<(String, &'static str)>) {
        match accept(order) {
            Err(ApiError::Invalid(errors)) => (
                true,
                errors.into_iter().map(|e| (e.pointer, e.code)).collect(),
            ),
            Err(ApiError::Body(error)) => (false, vec![(error.pointer, error.code)]),
            other => panic!("answered with {other:?}"),
        }
    }

    #[test]
    fn what_is_not_stated_has_a_default() {
        let accepted = accept(json!({"id": "acme", "name": "Acme"})).unwrap();
        assert_eq!(accepted.admin_email, "admin@acme.com");
        assert_eq!(accepted.tenant.plan, Plan::Free);
        assert_eq!(accepted.tenant.quota, QuotaOverrides::default());
    }

    #[test]
    fn a_bad_id_and_a_reserved_one_are_not_acceptable() {
        for (id, code) in [
            ("Acme", "format"),
            ("ab", "format"),
            ("platform", "reserved"),
            ("acme--test", "reserved"),
        ] {
            let (semantic, found) = faults(json!({"id": id, "name": "x"}));
            assert!(semantic && found == [("/id".to_owned(), code)], "{id}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let order = json!({"id": "A", "name": "a\nb", "admin_email": "nobody"});
        let (_, found) = faults(order);
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/id", "/name", "/admin_email"]);
    }

    #[test]
    fn a_quota_outside_its_range_is_not_acceptable_and_no_number_is_malformed() {
        let quota = |value: Value| json!({"id": "acme", "name": "x", "resource_quota": value});
        for (value, semantic) in [
            (json!(-1), true),
            (json!(u64::MAX), true),
            (json!(QUOTA_MAX + 1), true),
            (json!(1.5), false),
            (json!("1"), false),
        ] {
            let (found_semantic, found) = faults(quota(json!({"cpu_cores": value})));
            assert_eq!(found_semantic, semantic, "{value}");
            assert_eq!(found[0].0, "/resource_quota/cpu_cores");
        }
        let (semantic, found) = faults(quota(json!({"gpus": 1})));
        assert!(!semantic && found == [("/resource_quota/gpus".to_owned(), "unknown")]);
        assert!(accept(quota(json!({"cpu_cores": QUOTA_MAX, "users": null}))).is_ok());
    }
}
