//! JSON patch (RFC 6902) and JSON merge patch (RFC 7386), with the API server's refusals.

use serde_json::Value;

use crate::status::Failure;

/// Carries out the operations of a JSON patch.
///
/// # Errors
/// 400 when the body is no JSON patch, 422 when an operation does not fit the object.
pub fn json_patch(live: &Value, body: Value) -> Result<Value, Failure> {
    let patch: json_patch::Patch = serde_json::from_value(body)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    let mut object = live.clone();
    json_patch::patch(&mut object, &patch).map_err(|error| {
        Failure::unprocessable(format!(
            "the server rejected our request due to an error in our request: {error}"
        ))
    })?;
    Ok(object)
}

/// Lays a JSON merge patch over the object: null removes, lists are replaced.
pub fn merge_patch(live: &Value, body: &Value) -> Value {
    let mut object = live.clone();
    json_patch::merge(&mut object, body);
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_test_operation_is_unprocessable() {
        let body = json!([{"op": "test", "path": "/a", "value": 2}]);
        let failure = json_patch(&json!({"a": 1}), body).expect_err("refused");
        assert_eq!((failure.code, failure.reason), (422, "Invalid"));
    }

    #[test]
    fn null_removes_a_key() {
        assert_eq!(
            merge_patch(&json!({"a": 1, "b": 2}), &json!({"a": null})),
            json!({"b": 2})
        );
    }
}
