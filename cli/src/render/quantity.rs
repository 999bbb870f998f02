//! Quantities for people.

/// Shows bytes with a binary unit: `0 B`, `3.1 KiB`, `2.0 GiB`.
pub(crate) fn bytes(count: u128) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count;
    let mut unit = 0;
    while value >= 1024 * 1024 && unit + 1 < UNITS.len() {
        value /= 1024;
        unit += 1;
    }
    let tenths = value * 10 / 1024;
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Shows a whole number with a thin grouping, `1,234,567`.
pub(crate) fn count(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit_that_fits() {
        let check = |number: u128, expected: &str| assert_eq!(bytes(number), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(3200, "3.1 KiB");
        check(1024 * 1024 - 1, "1023.9 KiB");
        check(1024 * 1024, "1.0 MiB");
        check(2 << 30, "2.0 GiB");
        check(u128::from(u64::MAX), "15.9 EiB");
    }

    #[test]
    fn counts_are_grouped() {
        let check = |number: i128, expected: &str| assert_eq!(count(number), expected);
        check(0, "0");
        check(999, "999");
        check(1000, "1,000");
        check(-1_234_567, "-1,234,567");
    }
}
