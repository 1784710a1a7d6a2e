//! What can go wrong with a statement, told apart by what the caller can do about it.

use sqlx::error::ErrorKind;

/// A failed database operation.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// PostgreSQL cannot be reached, is starting, stopping or too busy. Trying again helps.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// A constraint refused the row; `constraint` is its name in the migrations.
    #[error("the constraint {constraint} was violated")]
    Constraint {
        /// Name of the violated constraint or unique index.
        constraint: String,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// Two transactions stood in each other's way. Trying again helps.
    #[error("the transaction conflicted with another")]
    Conflict(#[source] sqlx::Error),
    /// Another transaction holds a row, or a lock, for longer than is waited for. Trying again helps; where
    /// the statement was about several rows, it may be one of them alone.
    #[error("another transaction holds what the statement needs")]
    Locked(#[source] sqlx::Error),
    /// The login would see every tenant's rows whatever the policies say: a superuser, or a role
    /// with `BYPASSRLS`.
    #[error("the login {login} bypasses row-level security: use one that `unity migrate` made")]
    BypassesRowSecurity {
        /// The role that was connected as.
        login: String,
    },
    /// Anything else: a defect on our side.
    #[error("the database refused the statement")]
    Statement(#[source] sqlx::Error),
}

/// SQLSTATE classes and codes that mean "not now": connection exceptions, insufficient resources,
/// operator intervention (PostgreSQL manual, appendix A).
const UNAVAILABLE_CLASSES: [&str; 3] = ["08", "53", "57"];
/// `serialization_failure` and `deadlock_detected`.
const CONFLICT_CODES: [&str; 2] = ["40001", "40P01"];
/// `lock_not_available`: `lock_timeout` is over.
const LOCKED_CODE: &str = "55P03";

impl DbError {
    /// Whether the same operation may succeed a moment later.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Conflict(_) | Self::Locked(_) => true,
            Self::Constraint { .. } | Self::BypassesRowSecurity { .. } | Self::Statement(_) => {
                false
            }
        }
    }

    /// Whether one row of a statement about several may be to blame: then each is to be tried apart from the
    /// others, because what one tenant's row is like, or who holds it, is not the others' concern.
    #[must_use]
    pub const fn may_be_one_rows(&self) -> bool {
        match self {
            Self::Constraint { .. } | Self::Statement(_) | Self::Locked(_) => true,
            Self::Unavailable(_) | Self::Conflict(_) | Self::BypassesRowSecurity { .. } => false,
        }
    }

    /// The violated constraint, if that is what went wrong.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint { constraint, .. } => Some(constraint),
            Self::Unavailable(_)
            | Self::Conflict(_)
            | Self::Locked(_)
            | Self::BypassesRowSecurity { .. }
            | Self::Statement(_) => None,
        }
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                if UNAVAILABLE_CLASSES
                    .iter()
                    .any(|class| code.starts_with(class))
                {
                    return Self::Unavailable(error);
                }
                if CONFLICT_CODES.contains(&code.as_str()) {
                    return Self::Conflict(error);
                }
                if code == LOCKED_CODE {
                    return Self::Locked(error);
                }
                let named = !matches!(database.kind(), ErrorKind::Other);
                match database.constraint().filter(|_| named) {
                    Some(name) => Self::Constraint {
                        constraint: name.to_owned(),
                        source: error,
                    },
                    None => Self::Statement(error),
                }
            }
            _ => Self::Statement(error),
        }
    }
}
