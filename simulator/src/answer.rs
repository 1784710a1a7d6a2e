//! What a handler answers, before it becomes JSON, a table, or metadata only.

use std::sync::Arc;

use serde_json::Value;

use crate::resources::Resource;
use crate::watch::WatchRequest;

/// The answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// One object.
    Object {
        /// HTTP status.
        code: u16,
        /// Its resource; `None` for what is not stored and has no table.
        resource: Option<&'static Resource>,
        /// The object.
        object: Arc<Value>,
    },
    /// A page of a collection.
    List(Page),
    /// A JSON document of its own media type.
    Document {
        /// The media type.
        content_type: &'static str,
        /// The document.
        body: Value,
    },
    /// Plain text.
    Text(&'static str),
    /// A stream of changes.
    Watch(Box<WatchRequest>),
}

/// A page of a collection.
#[derive(Debug)]
pub struct Page {
    /// What it is a collection of.
    pub resource: &'static Resource,
    /// The objects.
    pub items: Vec<Arc<Value>>,
    /// The revision that the page shows.
    pub revision: u64,
    /// How to ask for the next page; empty on the last.
    pub next: String,
    /// How many objects follow; known only without selectors.
    pub remaining: Option<usize>,
}

impl Answer {
    /// An object of a resource with status 200.
    pub fn ok(resource: &'static Resource, object: Arc<Value>) -> Self {
        Self::Object {
            code: 200,
            resource: Some(resource),
            object,
        }
    }

    /// An object that is no stored one, such as a `Status` or a review.
    pub fn other(code: u16, object: Value) -> Self {
        Self::Object {
            code,
            resource: None,
            object: Arc::new(object),
        }
    }

    /// A JSON document.
    pub fn document(body: Value) -> Self {
        Self::Document {
            content_type: "application/json",
            body,
        }
    }
}

/// An answer with the warnings that go into its headers.
#[derive(Debug)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// Warnings, one header each.
    pub warnings: Vec<String>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            warnings: Vec::new(),
        }
    }
}
