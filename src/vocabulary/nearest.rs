//! The legal name that someone probably meant.

/// The candidate nearest to `word` by edit distance (insert, remove, replace or swap neighbours), ignoring case; `None` if
/// none is near enough to be a slip: more than a third of the word's letters away, or more than 4.
///
/// Of equally near candidates the first wins, so that an ordered list gives a stable answer. Words beyond 64 characters
/// have no neighbours: this serves error messages about names, and names are short.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const CHARS_MAX: usize = 64;
    let word: Vec<char> = word.to_lowercase().chars().collect();
    if word.is_empty() || word.len() > CHARS_MAX {
        return None;
    }
    let distance_max = word.len().div_ceil(3).min(4);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other: Vec<char> = candidate.to_lowercase().chars().take(CHARS_MAX + 1).collect();
        if other.len().abs_diff(word.len()) > distance_max {
            continue;
        }
        let distance = edit_distance(&word, &other);
        if distance <= distance_max && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance, row by row: a row needs the two before it to see a swap of neighbours.
fn edit_distance(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut left_previous = None;
    for (row, &left_char) in left.iter().enumerate() {
        let mut current = Vec::with_capacity(last.len());
        current.push(row + 1);
        let mut right_previous = None;
        for (column, &right_char) in right.iter().enumerate() {
            let at = |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&last, column) + usize::from(left_char != right_char))
                .min(at(&last, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = left_previous == Some(right_char) && right_previous == Some(left_char);
            if swapped && let Some(before) = column.checked_sub(1) {
                cost = cost.min(at(&before_last, before) + 1);
            }
            current.push(cost);
            right_previous = Some(right_char);
        }
        before_last = std::mem::replace(&mut last, current);
        left_previous = Some(left_char);
    }
    last.last().copied().unwrap_or(left.len())
}
