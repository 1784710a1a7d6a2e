//! Who may what: every route with its rule and what it means for each role, as a table to read.
//!
//! That the routes do what the table says is shown by
//! `contract::every_operation_lets_in_the_roles_that_the_document_names`.

use super::operations::operations;
use crate::harness::Stack;

/// The roles of the table, from nobody upwards.
pub const ROLES: [&str; 5] = [
    "nobody",
    "tenant-viewer",
    "tenant-member",
    "tenant-admin",
    "system-admin",
];

/// Whether a rule, in the document's words, lets a role in. `session` is for people of any role who
/// have logged in.
pub fn admits(access: &str, role: &str, is_person: bool) -> bool {
    let rank = |role: &str| ROLES[1..4].iter().position(|known| *known == role);
    access
        .split(" or ")
        .any(|part| match part.split(" for ").next().unwrap_or(part) {
            "public" => true,
            "authenticated" => role != "nobody",
            "session" => role != "nobody" && is_person,
            part => match (rank(part), rank(role)) {
                (Some(least), Some(own)) => own >= least,
                _ => part == role,
            },
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_has_a_rule_that_says_which_roles_it_lets_in() {
    let stack = Stack::still().await;
    let heads = [
        "method",
        "route",
        "rule",
        "nobody",
        "viewer",
        "member",
        "admin",
        "system-admin",
        "scope of a confined key",
        "while acting",
    ];
    let mut rows: Vec<Vec<String>> = vec![heads.map(str::to_owned).to_vec()];
    for operation in operations(&stack).await {
        let mut row = vec![
            operation.method.to_string(),
            operation.path.clone(),
            operation.access.clone(),
        ];
        for role in ROLES {
            let confined = operation.access.contains(&format!("{role} for "));
            let verdict = match (
                admits(&operation.access, role, false),
                admits(&operation.access, role, true),
            ) {
                (true, _) if confined => "platform's",
                (true, _) => "yes",
                (false, true) => "people",
                (false, false) => "-",
            };
            row.push(verdict.to_owned());
        }
        row.push(
            operation
                .scope
                .clone()
                .unwrap_or_else(|| "none needed".to_owned()),
        );
        row.push(
            operation
                .acting
                .clone()
                .unwrap_or_else(|| "as the role".to_owned()),
        );
        rows.push(row);
    }
    stack.stop().await;
    insta::assert_snapshot!(table(&rows));
}

fn table(rows: &[Vec<String>]) -> String {
    let columns = rows[0].len();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap())
        .collect();
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let cells = cells.map(|(cell, width)| format!(" {cell:width$} "));
            format!("|{}|", cells.collect::<Vec<_>>().join("|"))
        })
        .collect();
    let rule = widths.iter().map(|width| "-".repeat(width + 2));
    lines.insert(1, format!("|{}|", rule.collect::<Vec<_>>().join("|")));
    lines.join("\n")
}

#[test]
fn a_rule_admits_a_role_and_those_above_it() {
    let admitted = |rule: &str| ROLES.map(|role| admits(rule, role, false));
    assert_eq!(admitted("public"), [true; 5]);
    assert_eq!(admitted("authenticated"), [false, true, true, true, true]);
    assert_eq!(admitted("tenant-member"), [false, false, true, true, false]);
    assert_eq!(
        admitted("tenant-admin or system-admin"),
        [false, false, false, true, true]
    );
    assert_eq!(admitted("session"), [false; 5]);
    assert!(admits("session", "tenant-viewer", true));
}
