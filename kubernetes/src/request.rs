//! The few requests that Unity makes of an API server, each bounded in time and size.
//!
//! They go around `kube::Api` for two reasons: an overloaded API server says when to come back in
//! the `Retry-After` header of a plain-text answer, which `Api` drops; and the client's own
//! parsing logs the bodies it cannot read.

mod classify;

use http_body_util::{BodyExt as _, Limited};
use kube::{
    api::{DeleteParams, GetParams, Patch, PatchParams, Preconditions},
    client::Body,
    core::Request,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{client::ClusterClient, error::RequestError};

/// The name under which this crate owns fields.
pub(crate) const FIELD_MANAGER: &str = "unity-controller";

/// The largest answer that is read, in bytes. The largest object an API server stores is about
/// 1.5 MiB.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// A kind of object that is read and applied here.
pub(crate) trait ClusterObject:
    kube::Resource<DynamicType = ()> + Serialize + DeserializeOwned + Sync
{
}

impl<K> ClusterObject for K where
    K: kube::Resource<DynamicType = ()> + Serialize + DeserializeOwned + Sync
{
}

impl ClusterClient {
    /// The object of this name, or `None` if there is none.
    pub(crate) async fn get<K: ClusterObject>(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<K>, RequestError> {
        let request = Request::new(K::url_path(&(), namespace))
            .get(name, &GetParams::default())
            .map_err(|source| RequestError::Unbuildable { source })?;
        match self.send(request).await {
            Ok(body) => decode(&body).map(Some),
            Err(RequestError::NotFound { .. } | RequestError::NamespaceMissing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the object, or takes over the fields that it sets, and returns it as stored.
    pub(crate) async fn apply<K: ClusterObject>(&self, object: &K) -> Result<K, RequestError> {
        let name = object.meta().name.as_deref().unwrap_or_default();
        let request = Request::new(K::url_path(&(), object.meta().namespace.as_deref()))
            .patch(
                name,
                &PatchParams::apply(FIELD_MANAGER).force(),
                &Patch::Apply(object),
            )
            .map_err(|source| RequestError::Unbuildable { source })?;
        decode(&self.send(request).await?)
    }

    /// Deletes exactly this object: one that took its name in the meantime stays. Nothing to
    /// delete is a success.
    pub(crate) async fn delete<K: ClusterObject>(&self, object: &K) -> Result<(), RequestError> {
        let meta = object.meta();
        let preconditions = meta.uid.clone().map(|uid| Preconditions {
            uid: Some(uid),
            resource_version: None,
        });
        let request = Request::new(K::url_path(&(), meta.namespace.as_deref()))
            .delete(
                meta.name.as_deref().unwrap_or_default(),
                &DeleteParams {
                    preconditions,
                    ..DeleteParams::default()
                },
            )
            .map_err(|source| RequestError::Unbuildable { source })?;
        match self.send(request).await {
            Ok(_) | Err(RequestError::NotFound { .. } | RequestError::NamespaceMissing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads a path that is no object.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, RequestError> {
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|source| RequestError::Unbuildable {
                source: kube::core::request::Error::BuildRequest(source),
            })?;
        decode(&self.send(request).await?)
    }

    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Vec<u8>, RequestError> {
        let after = self.request_timeout();
        tokio::time::timeout(after, self.exchange(request))
            .await
            .map_err(|_elapsed| RequestError::TimedOut { after })?
    }

    async fn exchange(&self, request: http::Request<Vec<u8>>) -> Result<Vec<u8>, RequestError> {
        let response = self
            .inner()
            .send(request.map(Body::from))
            .await
            .map_err(not_sent)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|source| {
                if source.is::<http_body_util::LengthLimitError>() {
                    RequestError::Unreadable { source }
                } else {
                    RequestError::Unreachable { source }
                }
            })?
            .to_bytes();
        if head.status.is_success() {
            Ok(body.to_vec())
        } else {
            Err(classify::refusal(head.status, &head.headers, &body))
        }
    }
}

/// An error that came before any answer. A credential's error is dropped: see [`crate::error`].
fn not_sent(error: kube::Error) -> RequestError {
    match error {
        kube::Error::Auth(_) => RequestError::Credentials,
        error => RequestError::Unreachable {
            source: Box::new(error),
        },
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, RequestError> {
    serde_json::from_slice(body).map_err(|source| RequestError::Unreadable {
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests;
