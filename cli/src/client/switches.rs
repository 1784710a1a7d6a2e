//! `unity switches`.

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use reqwest::Method;
use serde_json::json;
use unity_shared::clock::Clock;

use super::{
    connection::{ClientFlags, Whose},
    jobs::without_nulls,
    table::{self, Column, line},
};

/// `unity switches ...`
#[derive(Debug, clap::Args)]
pub struct SwitchesArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: SwitchesCommand,
}

#[derive(Debug, Subcommand)]
enum SwitchesCommand {
    /// Lists the switches that are on.
    List,
    /// Stops part of the traffic, with a reason and an end.
    On(OnFlags),
    /// Takes a switch off.
    Off { id: String },
}

#[derive(Debug, clap::Args)]
#[group(id = "scope", required = true, multiple = true, args = ["tenant", "kind"])]
struct OnFlags {
    /// `pause`: jobs are taken in and wait. `drain`: none is taken in, what waits is carried out.
    #[arg(value_parser = ["pause", "drain"])]
    action: String,
    /// Jobs of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Jobs of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// Why; the tenants that it concerns can read it.
    #[arg(long)]
    reason: String,
    /// How long, for example 90s, 30m, 8h, 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, required_unless_present = "until")]
    lasting: Option<TimeDelta>,
    /// Until when (RFC 3339).
    #[arg(long, value_name = "TIME", conflicts_with = "lasting")]
    until: Option<DateTime<Utc>>,
}

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("ACTION", "/action"),
    ("TENANT", "/scope/tenant"),
    ("KIND", "/scope/kind"),
    ("UNTIL", "/expires_at"),
    ("REASON", "/reason"),
];

/// Runs the command.
pub(crate) async fn run(args: SwitchesArgs) -> Result<()> {
    let api = args.client.connect(Whose::Admin)?;
    match args.command {
        SwitchesCommand::List => {
            let page = api.get(&["switches"], &[]).await?;
            api.show(&page, |page| table::page(page, COLUMNS));
        }
        SwitchesCommand::On(flags) => {
            let OnFlags {
                action,
                tenant,
                kind,
                reason,
                lasting,
                until,
            } = flags;
            let end = until
                .or_else(|| Clock::system().now().checked_add_signed(lasting?))
                .context("the end of the switch is out of range")?;
            let scope = without_nulls(json!({ "tenant": tenant, "kind": kind }));
            let order =
                json!({ "scope": scope, "action": action, "reason": reason, "expires_at": end });
            let switch = api.send(Method::POST, &["switches"], &order).await?;
            api.show(&switch, |switch| table::fields(switch, COLUMNS));
        }
        SwitchesCommand::Off { id } => {
            let path = ["switches", &id];
            let nothing = api.call_without_body(Method::DELETE, &path).await?;
            api.show(&nothing, |_| line(&format!("{id} is off")));
        }
    }
    Ok(())
}

/// A number with its unit.
fn duration(text: &str) -> Result<TimeDelta, String> {
    let problem = || "must be a number with its unit: 90s, 30m, 8h or 7d".to_owned();
    let (number, seconds) = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .ok_or_else(problem)?;
    let number: u32 = number.parse().map_err(|_| problem())?;
    TimeDelta::try_seconds(i64::from(number) * seconds).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_its_unit() {
        assert_eq!(duration("90s").unwrap(), TimeDelta::seconds(90));
        assert_eq!(duration("2d").unwrap(), TimeDelta::days(2));
        for bad in ["", "90", "m", "-1h", "1.5h", "1w"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
