//! What a parser says of a value, in words that need no knowledge of the language it is written in.

/// The same without names of types of ours. What the caller sent is quoted before, and stays.
pub fn own_words(told: &str) -> String {
    const EXPECTED: &str = ", expected ";
    let told = told.replacen("unknown variant `", "unknown value `", 1);
    let Some((found, expected)) = told.rsplit_once(EXPECTED) else {
        return told;
    };
    let (expected, place) = expected
        .rfind(" at line ")
        .map_or((expected, ""), |at| expected.split_at(at));
    let mut words = expected.split(' ');
    let expected = match words.next() {
        Some("struct" | "internally" | "adjacently") => "an object",
        Some("enum" | "variant" | "string") => "a text",
        Some("i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" | "isize") => {
            "a whole number"
        }
        Some("f32" | "f64") => "a number",
        Some("unit") => "nothing",
        _ => match expected {
            "a sequence" => "a list",
            "a map" => "an object",
            expected => expected,
        },
    };
    format!("{found}{EXPECTED}{expected}{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_type_is_told() {
        for (told, own) in [
            (
                "invalid type: string \"7\", expected i64 at line 1 column 5",
                "invalid type: string \"7\", expected a whole number at line 1 column 5",
            ),
            (
                "invalid length 0, expected struct ScopeOrder with 2 elements at line 1 column 84",
                "invalid length 0, expected an object at line 1 column 84",
            ),
            (
                "status: unknown variant `a`, expected one of `b`, `c`",
                "status: unknown value `a`, expected one of `b`, `c`",
            ),
            (
                "invalid type: string \", expected i64\", expected a map",
                "invalid type: string \", expected i64\", expected an object",
            ),
            (
                "missing field `kind` at line 1 column 2",
                "missing field `kind` at line 1 column 2",
            ),
        ] {
            assert_eq!(own_words(told), own);
        }
    }
}
