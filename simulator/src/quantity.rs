//! Amounts with a unit (`500m`, `1Gi`): parsed, compared, and written in the API server's form.

/// How an amount was written, and so how it is written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    /// `n u m k M G T P E`.
    Decimal,
    /// `Ki Mi Gi Ti Pi Ei`.
    Binary,
    /// `e3`.
    Exponent,
}

/// An amount, exact to one billionth.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nanos: i128,
    notation: Notation,
}

const NANO: i128 = 1_000_000_000;
const DECIMAL: [(&str, i128); 10] = [
    ("E", NANO * 1_000_000_000_000_000_000),
    ("P", NANO * 1_000_000_000_000_000),
    ("T", NANO * 1_000_000_000_000),
    ("G", NANO * 1_000_000_000),
    ("M", NANO * 1_000_000),
    ("k", NANO * 1_000),
    ("", NANO),
    ("m", NANO / 1_000),
    ("u", NANO / 1_000_000),
    ("n", 1),
];
const BINARY: [(&str, i128); 6] = [
    ("Ei", NANO << 60),
    ("Pi", NANO << 50),
    ("Ti", NANO << 40),
    ("Gi", NANO << 30),
    ("Mi", NANO << 20),
    ("Ki", NANO << 10),
];

impl Quantity {
    /// Reads an amount; `None` where the API server would refuse the text.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text
            .char_indices()
            .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && "+-".contains(*c))))
            .map_or(text.len(), |(at, _)| at);
        let (number, unit) = text.split_at(end);
        let (scale, notation) = scale_of(unit)?;
        let nanos = scaled(number, scale)?;
        Some(Self { nanos, notation })
    }

    /// An amount of whole things.
    pub fn count(count: usize) -> Self {
        let nanos = i128::try_from(count).unwrap_or(i128::MAX / NANO) * NANO;
        Self {
            nanos,
            notation: Notation::Decimal,
        }
    }

    /// The sum of two amounts, written as the first one.
    pub fn plus(self, other: Self) -> Self {
        Self {
            nanos: self.nanos.saturating_add(other.nanos),
            notation: self.notation,
        }
    }

    /// The difference of two amounts, written as the first one.
    pub fn minus(self, other: Self) -> Self {
        Self {
            nanos: self.nanos.saturating_sub(other.nanos),
            notation: self.notation,
        }
    }

    /// Whether this amount is above zero.
    pub fn is_positive(self) -> bool {
        self.nanos > 0
    }

    /// Whether this amount is larger than `other`.
    pub fn exceeds(self, other: Self) -> bool {
        self.nanos > other.nanos
    }

    /// Whether this amount is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// The canonical text: the largest unit that leaves no fraction.
    pub fn canonical(self) -> String {
        if self.nanos == 0 {
            return "0".to_owned();
        }
        if self.notation == Notation::Binary && self.nanos % NANO == 0 {
            return BINARY
                .iter()
                .find(|(_, scale)| self.nanos % scale == 0)
                .map_or_else(
                    || (self.nanos / NANO).to_string(),
                    |(unit, scale)| format!("{}{unit}", self.nanos / scale),
                );
        }
        DECIMAL
            .iter()
            .find(|(_, scale)| self.nanos % scale == 0)
            .map_or_else(String::new, |(unit, scale)| {
                let unit = if self.notation == Notation::Exponent {
                    exponent_of(unit)
                } else {
                    (*unit).to_owned()
                };
                format!("{}{unit}", self.nanos / scale)
            })
    }
}

fn scale_of(unit: &str) -> Option<(i128, Notation)> {
    if let Some((_, scale)) = BINARY.iter().find(|(name, _)| *name == unit) {
        return Some((*scale, Notation::Binary));
    }
    if let Some((_, scale)) = DECIMAL.iter().find(|(name, _)| *name == unit) {
        return Some((*scale, Notation::Decimal));
    }
    let power: i32 = unit.strip_prefix(['e', 'E'])?.parse().ok()?;
    let tens = 10_i128.checked_pow(u32::try_from(power + 9).ok()?)?;
    Some((tens, Notation::Exponent))
}

fn exponent_of(unit: &str) -> String {
    match unit {
        "E" => "e18",
        "P" => "e15",
        "T" => "e12",
        "G" => "e9",
        "M" => "e6",
        "k" => "e3",
        "m" => "e-3",
        "u" => "e-6",
        "n" => "e-9",
        _ => "",
    }
    .to_owned()
}

/// `number * scale`, rounded away from zero to a whole billionth as the API server does.
fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.trim_start_matches('+')),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 18 {
        return None;
    }
    let all: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = all.checked_mul(scale)?;
    let nanos = (product + divisor - 1) / divisor;
    Some(if negative { -nanos } else { nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Quantity::parse(text)
            .map(Quantity::canonical)
            .unwrap_or_default()
    }

    #[test]
    fn amounts_take_the_largest_unit_without_a_fraction() {
        for (written, kept) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1000", "1k"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0", "0"),
            ("100", "100"),
            ("-2", "-2"),
            ("1e3", "1e3"),
            ("128Gi", "128Gi"),
        ] {
            assert_eq!(canonical(written), kept, "{written}");
        }
    }

    #[test]
    fn texts_that_are_no_amounts_are_refused() {
        for text in ["", "abc", "1x", "Gi", "1 Gi", "--1"] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn units_compare_by_value() {
        let (one, more) = (Quantity::parse("1Gi"), Quantity::parse("1025Mi"));
        assert!(more.zip(one).is_some_and(|(more, one)| more.exceeds(one)));
    }
}
