//! Walks a chain and finds what is not as it was written.
//!
//! The canonical form of an entry is computed here from what the API answers, and by `audit_hash` in
//! the database from the row: two programs that must agree, so that neither is believed alone. It is
//! described in `docs/audit.md`.

use std::fmt::{self, Write as _};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::AuditRow;

/// What the form begins with. Another form has another name.
const FORM: &str = "unity.audit.1";

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hash([u8; 32]);

/// What the first entry of a chain follows.
pub const GENESIS: Hash = Hash([0; 32]);

/// The last entry of a chain. Whoever keeps it elsewhere can tell later whether the chain still leads
/// to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChainHead {
    /// Its place; 0 = there is none yet.
    pub sequence: i64,
    /// Its hash; zeros if there is none yet.
    #[schema(value_type = String)]
    pub hash: Hash,
}

/// Where a chain is not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// An entry is not there.
    #[error("entry {0} is missing")]
    Missing(i64),
    /// An entry is not what its hash was made of.
    #[error("entry {0} was changed: it does not have the hash that it states")]
    Changed(i64),
    /// An entry has a hash of its own that is right, but not the one that the next entry, or the
    /// head, follows: it was put in the place of another.
    #[error("entry {0} was replaced: what follows it states another hash")]
    Replaced(i64),
    /// An entry is there twice, or in the wrong place.
    #[error("entry {0} is where another should be")]
    Misplaced(i64),
    /// There are entries behind the head.
    #[error("entry {0} is behind the head of the chain")]
    BehindHead(i64),
}

impl Break {
    /// The place of the entry that is concerned.
    #[must_use]
    pub const fn sequence(&self) -> i64 {
        match self {
            Self::Missing(at)
            | Self::Changed(at)
            | Self::Replaced(at)
            | Self::Misplaced(at)
            | Self::BehindHead(at) => *at,
        }
    }
}

/// A walk from the head of a chain to its first entry. Give it every entry, from the last to the
/// first.
#[derive(Debug)]
pub struct ChainWalk {
    chain: String,
    head: ChainHead,
    /// The place that comes next, and the hash that its entry must have; absent = not known, because
    /// the entry behind it is not to be believed.
    next: i64,
    expected: Option<Hash>,
    first_break: Option<Break>,
    entries: u64,
    /// A head that was kept elsewhere: the chain must lead to it.
    anchor: Option<ChainHead>,
}

impl ChainWalk {
    /// A walk through the chain of this name.
    #[must_use]
    pub fn from_head(chain: &str, head: ChainHead) -> Self {
        Self {
            chain: chain.to_owned(),
            head,
            next: head.sequence,
            expected: Some(head.hash),
            first_break: None,
            entries: 0,
            anchor: None,
        }
    }

    /// The same walk, which must also pass a head that was kept elsewhere.
    #[must_use]
    pub fn through(mut self, anchor: ChainHead) -> Self {
        if self.head.sequence < anchor.sequence {
            self.found(Break::Missing(self.head.sequence + 1));
        }
        self.anchor = Some(anchor);
        self
    }

    /// Looks at the next entry.
    pub fn step(&mut self, row: &AuditRow) {
        if row.sequence > self.head.sequence {
            self.found(Break::BehindHead(row.sequence));
            return;
        }
        if row.sequence > self.next || row.tenant_id != self.chain {
            self.found(Break::Misplaced(row.sequence));
            return;
        }
        if row.sequence < self.next {
            // The lowest of those that are missing is named last, and so reported.
            self.found(Break::Missing(row.sequence + 1));
            self.expected = None;
        }
        if entry_hash(row) != row.hash {
            self.found(Break::Changed(row.sequence));
        } else if self.expected.is_some_and(|expected| expected != row.hash) {
            self.found(Break::Replaced(row.sequence));
        }
        if self
            .anchor
            .is_some_and(|kept| kept.sequence == row.sequence && kept.hash != row.hash)
        {
            self.found(Break::Replaced(row.sequence));
        }
        self.entries += 1;
        self.next = row.sequence - 1;
        self.expected = Some(row.previous_hash);
    }

    /// How many entries are as they were written, or the first that is not.
    pub fn finish(mut self) -> Result<u64, Break> {
        if self.next > 0 {
            self.found(Break::Missing(1));
        } else if self.expected.is_some_and(|expected| expected != GENESIS)
            && self.first_break.is_none()
        {
            self.found(Break::Replaced(1));
        }
        self.first_break.map_or(Ok(self.entries), Err)
    }

    /// The walk goes backwards, so a break that is found later is an earlier one.
    fn found(&mut self, found: Break) {
        let earlier = self
            .first_break
            .as_ref()
            .is_none_or(|known| found.sequence() <= known.sequence());
        if earlier {
            self.first_break = Some(found);
        }
    }
}

/// The hash that an entry must have.
#[must_use]
pub fn entry_hash(row: &AuditRow) -> Hash {
    let AuditRow {
        tenant_id,
        sequence,
        at,
        actor_kind,
        actor_id,
        actor_display,
        act_as,
        action,
        object_type,
        object_id,
        source_address,
        user_agent,
        request_id,
        result,
        detail,
        previous_hash,
        hash: _,
    } = row;
    let mut sum = Sha256::new();
    let mut detail_text = String::new();
    write_json(&Value::Object(detail.clone()), &mut detail_text);
    for part in [
        Some(FORM),
        Some(tenant_id),
        Some(&sequence.to_string()),
        Some(&micros(*at)),
        Some(actor_kind.as_str()),
        Some(actor_id),
        Some(actor_display),
        act_as.map(|id| id.to_string()).as_deref(),
        Some(action),
        Some(object_type),
        object_id.as_deref(),
        source_address.as_deref(),
        user_agent.as_deref(),
        request_id.map(|id| id.to_string()).as_deref(),
        Some(result.as_str()),
        Some(&detail_text),
    ] {
        write_part(&mut sum, part);
    }
    sum.update(previous_hash.0);
    Hash(sum.finalize().into())
}

fn micros(at: DateTime<Utc>) -> String {
    at.timestamp_micros().to_string()
}

/// The length in bytes as four bytes, big end first, and the text; absent = the length -1 alone.
fn write_part(sum: &mut Sha256, part: Option<&str>) {
    match part {
        Some(text) => {
            let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
            sum.update(length.to_be_bytes());
            sum.update(text.as_bytes());
        }
        None => sum.update((-1_i32).to_be_bytes()),
    }
}

/// JSON as PostgreSQL writes a `jsonb`: shorter keys first, then by their bytes; a space behind `:` and
/// `,`; only what must be escaped is.
fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_by_key(|key| (key.len(), key.as_bytes()));
            out.push('{');
            for (place, key) in keys.into_iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                write_text(key, out);
                out.push_str(": ");
                write_json(fields.get(key).unwrap_or(&Value::Null), out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // A text takes whatever is written to it.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl Hash {
    /// Takes 32 bytes; what has another length is no hash and becomes zeros, which no entry has.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.try_into().unwrap_or_default())
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0_u8; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * place..2 * place + 2)?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("must be 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::audit::{AuditActorKind, AuditResult};

    fn row(sequence: i64, previous_hash: Hash) -> AuditRow {
        let mut row = AuditRow {
            tenant_id: "acme".to_owned(),
            sequence,
            at: DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap(),
            actor_kind: AuditActorKind::ApiKey,
            actor_id: "key".to_owned(),
            actor_display: "tenant-admin".to_owned(),
            act_as: None,
            action: "job.create".to_owned(),
            object_type: "job".to_owned(),
            object_id: None,
            source_address: None,
            user_agent: None,
            request_id: None,
            result: AuditResult::Succeeded,
            detail: Map::new(),
            previous_hash,
            hash: GENESIS,
        };
        row.hash = entry_hash(&row);
        row
    }

    /// Five entries, from the last to the first, and the head.
    fn chain() -> (Vec<AuditRow>, ChainHead) {
        let mut rows: Vec<AuditRow> = Vec::new();
        for sequence in 1..=5 {
            let previous = rows.last().map_or(GENESIS, |row| row.hash);
            rows.push(row(sequence, previous));
        }
        let head = ChainHead {
            sequence: 5,
            hash: rows[4].hash,
        };
        rows.reverse();
        (rows, head)
    }

    fn walk(rows: &[AuditRow], head: ChainHead) -> Result<u64, Break> {
        let mut walk = ChainWalk::from_head("acme", head);
        for row in rows {
            walk.step(row);
        }
        walk.finish()
    }

    #[test]
    fn a_whole_chain_is_whole() {
        let (rows, head) = chain();
        assert_eq!(walk(&rows, head), Ok(5));
        assert_eq!(walk(&[], ChainHead::default()), Ok(0));
    }

    #[test]
    fn the_first_entry_that_is_not_as_it_was_is_named() {
        let (rows, head) = chain();
        let with = |change: &dyn Fn(&mut Vec<AuditRow>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            walk(&rows, head)
        };
        assert_eq!(
            with(&|rows| rows[2].actor_id = "other".to_owned()),
            Err(Break::Changed(3))
        );
        assert_eq!(
            with(&|rows| {
                rows[2].actor_id = "other".to_owned();
                rows[2].hash = entry_hash(&rows[2]);
            }),
            Err(Break::Replaced(3))
        );
        assert_eq!(with(&|rows| drop(rows.remove(3))), Err(Break::Missing(2)));
        assert_eq!(
            with(&|rows| drop(rows.drain(..2))),
            Err(Break::Missing(4)),
            "cut off at the end"
        );
        assert_eq!(
            with(&|rows| rows.truncate(2)),
            Err(Break::Missing(1)),
            "cut off at the beginning"
        );
        assert_eq!(
            with(&|rows| rows.insert(1, rows[0].clone())),
            Err(Break::Misplaced(5))
        );
        let early = ChainHead {
            sequence: 4,
            hash: rows[1].hash,
        };
        assert_eq!(walk(&rows, early), Err(Break::BehindHead(5)));
    }

    #[test]
    fn a_chain_that_was_written_anew_does_not_lead_to_a_head_that_was_kept() {
        let (mut rows, head) = chain();
        rows.reverse();
        let mut previous = GENESIS;
        for row in &mut rows {
            row.actor_id = "other".to_owned();
            row.previous_hash = previous;
            row.hash = entry_hash(row);
            previous = row.hash;
        }
        rows.reverse();
        assert_eq!(walk(&rows, head), Err(Break::Replaced(5)));
    }

    #[test]
    fn a_chain_that_was_written_anew_with_its_head_does_not_pass_a_head_that_was_kept() {
        let (rows, head) = chain();
        let kept = ChainHead {
            sequence: 3,
            hash: rows[2].hash,
        };
        let through = |kept| {
            let mut walk = ChainWalk::from_head("acme", head).through(kept);
            for row in &rows {
                walk.step(row);
            }
            walk.finish()
        };
        assert_eq!(through(kept), Ok(5));
        let other = ChainHead {
            hash: rows[0].hash,
            ..kept
        };
        assert_eq!(through(other), Err(Break::Replaced(3)));
        let longer = ChainHead {
            sequence: 9,
            ..kept
        };
        assert_eq!(through(longer), Err(Break::Missing(6)));
    }

    #[test]
    fn json_is_written_as_postgresql_writes_it() {
        let mut text = String::new();
        let value = json!({ "bb": [1, true, null], "a": "é\n\u{1}\"\\/\u{7f}", "ab": {}, "b": [] });
        write_json(&value, &mut text);
        assert_eq!(
            text,
            "{\"a\": \"é\\n\\u0001\\\"\\\\/\u{7f}\", \"b\": [], \"ab\": {}, \"bb\": [1, true, null]}"
        );
    }

    #[test]
    fn a_hash_is_64_digits() {
        let (rows, _) = chain();
        let text = rows[0].hash.to_string();
        assert_eq!(Hash::parse(&text), Some(rows[0].hash));
        for bad in [
            "",
            "xy",
            &text[1..],
            &text.replace(|c: char| c.is_ascii_digit(), "g"),
            &"é".repeat(32),
        ] {
            assert_eq!(Hash::parse(bad), None, "{bad}");
        }
    }
}
