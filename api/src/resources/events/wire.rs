//! The text of a stream, as the HTML standard's server-sent events have it.

use serde::Serialize;
use unity_shared::events::{Event, EventPage};

use crate::error::ApiError;

/// Milliseconds after which a browser that lost the stream comes again.
pub const RETRY: &str = "retry: 2000\n\n";
/// A line that means nothing: proxies and readers see that the stream lives.
pub const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// The bounds of a sequence that the reader cannot follow from where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reset {
    /// The oldest event that is kept; one more than `latest_id` if none is.
    pub oldest_id: i64,
    /// The latest event of the tenant; 0 before the first.
    pub latest_id: i64,
}

impl Reset {
    /// The bounds of a page's sequence.
    pub const fn of(page: &EventPage) -> Self {
        Self {
            oldest_id: page.oldest_id,
            latest_id: page.latest_id,
        }
    }

    /// The number after which the oldest event comes.
    pub const fn resume_after(self) -> i64 {
        self.oldest_id - 1
    }

    /// The text that tells of it. It carries a number, so that a reader that comes again goes on
    /// from there.
    pub fn text(self) -> Result<String, ApiError> {
        message(self.resume_after(), "reset", &self)
    }
}

/// The text of events.
pub fn text(events: &[Event]) -> Result<String, ApiError> {
    events
        .iter()
        .map(|event| message(event.sequence, &event.event_type, event))
        .collect()
}

/// JSON has no line ends between its parts, so it is one line of `data`.
fn message(id: i64, event_type: &str, data: &impl Serialize) -> Result<String, ApiError> {
    let data = serde_json::to_string(data)
        .map_err(|error| ApiError::Defect(format!("an event cannot be written: {error}")))?;
    Ok(format!("id: {id}\nevent: {event_type}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use unity_shared::ids::{JobId, TenantId};

    use super::*;

    #[test]
    fn an_event_is_three_lines_whatever_is_in_it() {
        let job_id = JobId::new();
        let event = Event {
            sequence: 7,
            event_type: "job.progress".to_owned(),
            job_id,
            tenant_id: TenantId::parse("acme").unwrap(),
            created_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            data: json!({ "message": "one\ntwo\r\n\ndata: three" }),
        };
        let text = text(&[event]).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[..2], ["id: 7", "event: job.progress"]);
        assert_eq!(lines[3], "");
        let data: serde_json::Value =
            serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(
            data,
            json!({
                "id": 7, "type": "job.progress", "job_id": job_id, "tenant_id": "acme",
                "created_at": "2027-01-15T08:00:00Z",
                "data": { "message": "one\ntwo\r\n\ndata: three" },
            })
        );
    }

    #[test]
    fn a_reset_moves_the_readers_number_to_where_the_stream_goes_on() {
        let reset = Reset {
            oldest_id: 5,
            latest_id: 9,
        };
        let expected = "id: 4\nevent: reset\ndata: {\"oldest_id\":5,\"latest_id\":9}\n\n";
        assert_eq!(reset.text().unwrap(), expected);
    }
}
