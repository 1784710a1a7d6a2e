//! Pages of a listing.

use std::{fmt::Display, str::FromStr};

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
}

/// The page of a listing that a request asks for. `K` is what the listing is ordered by.
pub struct PageRequest<'a, K> {
    /// The last item of the page before; absent = this is the first page.
    pub after: Option<K>,
    limit: PageLimit,
    tokens: &'a PageTokens,
    scope: Scope<'a>,
}

impl<'a, K: FromStr + Display> PageRequest<'a, K> {
    /// Reads the parameters `limit` and `page_token`.
    pub fn read(
        tokens: &'a PageTokens,
        scope: Scope<'a>,
        limit: Option<i64>,
        token: Option<&str>,
    ) -> Result<Self, ApiError> {
        let limit = PageLimit::read(limit)?;
        let after = match token {
            Some(token) => {
                let last = tokens.open(&scope, token)?;
                Some(last.parse().map_err(|_| ApiError::PageToken)?)
            }
            None => None,
        };
        Ok(Self {
            after,
            limit,
            tokens,
            scope,
        })
    }

    /// How many rows to ask for: one more than a page has tells whether there is a next.
    pub fn rows(&self) -> i64 {
        self.limit.items() + 1
    }

    /// The page of `rows`. `key` is what the next page begins after.
    pub fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
        let size = usize::try_from(self.limit.items()).unwrap_or(usize::MAX);
        let has_next = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| has_next);
        let next_page_token =
            last.map(|item| self.tokens.issue(&self.scope, &key(item).to_string()));
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

    fn tokens() -> PageTokens {
        PageTokens::new(&Secret::new("0123456789abcdef0123456789abcdef"))
    }

    #[test]
    fn one_row_too_many_means_that_there_is_a_next_page() {
        let tokens = tokens();
        let read = |token| PageRequest::<i64>::read(&tokens, SCOPE, Some(2), token).unwrap();
        let asked = read(None);
        assert_eq!((asked.after, asked.rows()), (None, 3));
        let first = asked.page(vec![1, 2, 3], |number| *number);
        assert_eq!(first.items, [1, 2]);
        assert_eq!(read(first.next_page_token.as_deref()).after, Some(2));
        for rows in [vec![1, 2], Vec::new()] {
            assert_eq!(asked.page(rows, |number| *number).next_page_token, None);
        }
    }

    #[test]
    fn a_token_for_something_that_the_listing_is_not_ordered_by_is_refused() {
        let tokens = tokens();
        let token = tokens.issue(&SCOPE, "two");
        let asked = PageRequest::<i64>::read(&tokens, SCOPE, None, Some(&token));
        assert!(matches!(asked, Err(ApiError::PageToken)));
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
        assert_eq!(PageLimit::read(None).unwrap().items(), 50);
    }
}
