use axum::http::HeaderMap;

/// Returns the trace id of the header `traceparent` (W3C Trace Context), if there is a valid one.
pub(super) fn trace_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let mut fields = value.trim().split('-');
    let (version, trace_id, parent_id) = (fields.next()?, fields.next()?, fields.next()?);
    let valid = is_hex(version, 2) && version != "ff" && is_id(trace_id, 32) && is_id(parent_id, 16);
    valid.then(|| trace_id.to_owned())
}

fn is_id(field: &str, length: usize) -> bool {
    is_hex(field, length) && field.bytes().any(|digit| digit != b'0')
}

fn is_hex(field: &str, length: usize) -> bool {
    field.len() == length && field.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(traceparent: &'static str) -> Option<String> {
        trace_id(&HeaderMap::from_iter([("traceparent".parse().unwrap(), traceparent.parse().unwrap())]))
    }

    #[test]
    fn only_a_valid_traceparent_has_a_trace_id() {
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_deref(), Some(trace_id));
        assert_eq!(of("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
        assert_eq!(of("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"), None);
        assert_eq!(of("nonsense"), None);
    }
}
