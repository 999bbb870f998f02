//! The little of DNS that makes traffic on port 53 look like DNS: one question, one address as the answer.

/// The well-known port.
pub(crate) const PORT: u16 = 53;

const HEADER: usize = 12;

/// Returns a question for the IPv4 address of a name.
pub(crate) fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend(id.to_be_bytes());
    // Recursion desired; one question.
    message.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len().min(63) as u8);
        message.extend(label.bytes().take(63));
    }
    // End of name, type A, class IN.
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Returns the answer to a question, or nothing if it is none.
pub(crate) fn answer(question: &[u8]) -> Option<Vec<u8>> {
    if question.len() <= HEADER || question[2] & 0x80 != 0 {
        return None;
    }
    let mut message = question.to_vec();
    // A response, recursion available, one answer.
    message[2] |= 0x80;
    message[3] = 0x80;
    message[7] = 1;
    // The name is the question's, type A, class IN, 30 s to live, four bytes of address.
    message.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 244, 2, 30]);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_repeats_the_question() {
        let asked = question(7, "a.bc");
        assert_eq!(&asked[HEADER..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
        let answered = answer(&asked).unwrap();
        assert_eq!(&answered[HEADER..asked.len()], &asked[HEADER..]);
        assert_eq!(answered.len(), asked.len() + 16);
        assert_eq!(answer(&answered), None);
        assert_eq!(answer(b"short"), None);
    }
}
