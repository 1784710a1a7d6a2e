//! Pages of a listing.

use serde::Serialize;

use crate::{
    error::ApiError,
    page_token::{PageTokens, Scope},
};

const DEFAULT_LIMIT: i64 = 50;
const LARGEST_LIMIT: i64 = 200;

/// A page of a listing.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The page's items, in the order of the listing.
    pub items: Vec<T>,
    /// `page_token` of the next page; null = this is the last.
    #[schema(required)]
    pub next_page_token: Option<String>,
}

impl<T> Page<T> {
    /// A listing that is always whole.
    pub fn whole(items: Vec<T>) -> Self {
        Self {
            items,
            next_page_token: None,
        }
    }
}

/// How many items a page has.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit(i64);

impl PageLimit {
    /// Reads the parameter `limit`.
    pub fn read(limit: Option<i64>) -> Result<Self, ApiError> {
        match limit.unwrap_or(DEFAULT_LIMIT) {
            limit @ 1..=LARGEST_LIMIT => Ok(Self(limit)),
            _ => Err(ApiError::Query(format!(
                "limit must be from 1 to {LARGEST_LIMIT}"
            ))),
        }
    }

    /// How many items a page has at most.
    pub const fn items(self) -> i64 {
        self.0
    }

    /// How many rows to ask for: one more than a page has tells whether there is a next.
    pub fn rows(self) -> i64 {
        self.0 + 1
    }

    /// The page of `rows`. `key` is what the next page begins after.
    pub fn page<T>(
        self,
        mut rows: Vec<T>,
        tokens: &PageTokens,
        scope: &Scope<'_>,
        key: impl Fn(&T) -> String,
    ) -> Page<T> {
        let size = usize::try_from(self.0).unwrap_or(usize::MAX);
        let has_next = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| has_next);
        let next_page_token = last.map(|item| tokens.issue(scope, &key(item)));
        Page {
            items: rows,
            next_page_token,
        }
    }
}

#[cfg(test)]
mod tests {
    use unity_shared::config::Secret;

    use super::*;

    const SCOPE: Scope<'_> = Scope {
        listing: "numbers",
        owner: "acme",
        filter: "",
    };

    fn page(limit: i64, rows: Vec<i64>) -> Page<i64> {
        let tokens = PageTokens::new(&Secret::new("0123456789abcdef0123456789abcdef"));
        PageLimit::read(Some(limit))
            .unwrap()
            .page(rows, &tokens, &SCOPE, i64::to_string)
    }

    #[test]
    fn one_row_too_many_means_that_there_is_a_next_page() {
        let first = page(2, vec![1, 2, 3]);
        assert_eq!(first.items, [1, 2]);
        assert!(first.next_page_token.is_some());
        assert_eq!(page(2, vec![1, 2]).next_page_token, None);
        assert_eq!(page(2, Vec::new()).next_page_token, None);
    }

    #[test]
    fn a_limit_is_from_1_to_200() {
        for (limit, good) in [
            (0, false),
            (1, true),
            (200, true),
            (201, false),
            (-1, false),
        ] {
            assert_eq!(PageLimit::read(Some(limit)).is_ok(), good, "{limit}");
        }
        assert_eq!(PageLimit::read(None).unwrap().rows(), 51);
    }
}
