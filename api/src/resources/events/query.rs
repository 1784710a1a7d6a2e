//! Where the reader stands, and in which form it wants to read.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde::Deserialize;

use crate::{error::ApiError, long_poll::read_wait, resources::page::PageLimit};

const LAST_EVENT_ID: &str = "last-event-id";

/// Which events to show.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// The number of the last event that the reader has: what follows is shown.
    #[param(minimum = 0)]
    since: Option<i64>,
    /// The same as `since`, under the name that clients use which cannot set `Last-Event-ID`.
    #[param(minimum = 0)]
    last_event_id: Option<i64>,
    /// Most events in a list; a stream has no such limit.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// Seconds that a list waits for an event if there is none yet. A stream waits by itself.
    #[param(minimum = 0, maximum = 30, default = 0)]
    wait: Option<u64>,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// Server-sent events, without an end.
    Stream,
    /// One page of JSON, and how long to wait for something to be in it.
    List(PageLimit, Duration),
}

impl EventsQuery {
    /// The number that the reader goes on from; absent = it has none.
    ///
    /// The header goes first: a client that connects again sends it anew, while the address that it
    /// connects to stays as it was.
    pub fn cursor(&self, headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
        if let Some(number) = header_cursor(headers)? {
            return Ok(Some(number));
        }
        match (self.since, self.last_event_id) {
            (Some(_), Some(_)) => Err(ApiError::Query(
                "since and last_event_id mean the same; give one of them".to_owned(),
            )),
            (Some(number), None) | (None, Some(number)) if number < 0 => Err(ApiError::Query(
                "since and last_event_id must be 0 or more".to_owned(),
            )),
            (since, last_event_id) => Ok(since.or(last_event_id)),
        }
    }

    /// The form that the reader wants.
    pub fn form(&self, headers: &HeaderMap) -> Result<Form, ApiError> {
        if wants_list(headers) {
            return Ok(Form::List(
                PageLimit::read(self.limit)?,
                read_wait(self.wait)?,
            ));
        }
        match (self.limit, self.wait) {
            (None, None) => Ok(Form::Stream),
            (Some(_), _) | (_, Some(_)) => Err(ApiError::Query(
                "limit and wait are for lists: ask for application/json".to_owned(),
            )),
        }
    }
}

/// A number that is not one is the client's mistake. Starting from elsewhere instead would hide it.
fn header_cursor(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("?");
    if text.is_empty() {
        return Ok(None);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_number => Ok(Some(number)),
        Ok(_) | Err(_) => Err(ApiError::Header {
            name: "Last-Event-ID",
            problem: "must be the number of an event",
        }),
    }
}

/// A list is for who asks for JSON by name. Anything else, also no word at all, means the stream.
fn wants_list(headers: &HeaderMap) -> bool {
    let names = |media_type: &str| {
        headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|range| {
                let name = range.split(';').next().unwrap_or_default().trim();
                name.eq_ignore_ascii_case(media_type)
            })
    };
    names("application/json") && !names("text/event-stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    fn query(since: Option<i64>, last_event_id: Option<i64>) -> EventsQuery {
        EventsQuery {
            since,
            last_event_id,
            limit: None,
            wait: None,
        }
    }

    #[test]
    fn the_header_goes_before_the_address() {
        let none = HeaderMap::new();
        let five = headers(LAST_EVENT_ID, "5");
        let cursor = |query: EventsQuery, headers| query.cursor(headers).unwrap();
        assert_eq!(cursor(query(None, None), &none), None);
        assert_eq!(cursor(query(Some(3), None), &none), Some(3));
        assert_eq!(cursor(query(None, Some(0)), &none), Some(0));
        assert_eq!(cursor(query(Some(3), None), &five), Some(5));
        let empty = headers(LAST_EVENT_ID, "");
        assert_eq!(cursor(query(Some(3), None), &empty), Some(3));
    }

    #[test]
    fn what_is_no_number_of_an_event_is_refused() {
        for bad in ["x", "-1", "+1", "1.5", " ", "1 2", "99999999999999999999"] {
            let refused = EventsQuery::default().cursor(&headers(LAST_EVENT_ID, bad));
            assert!(matches!(refused, Err(ApiError::Header { .. })), "{bad:?}");
        }
        for bad in [
            query(Some(-1), None),
            query(None, Some(-1)),
            query(Some(1), Some(1)),
        ] {
            assert!(matches!(
                bad.cursor(&HeaderMap::new()),
                Err(ApiError::Query(_))
            ));
        }
    }

    #[test]
    fn who_names_json_alone_gets_a_list() {
        for (accept, list) in [
            ("application/json", true),
            ("application/json, text/plain, */*", true),
            ("Application/JSON;q=0.9", true),
            ("text/event-stream", false),
            ("text/event-stream, application/json", false),
            ("*/*", false),
            ("application/*", false),
            ("text/html", false),
        ] {
            assert_eq!(wants_list(&headers("accept", accept)), list, "{accept}");
        }
        assert!(!wants_list(&HeaderMap::new()));
    }
}
