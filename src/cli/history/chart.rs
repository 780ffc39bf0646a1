//! Durations as charts of characters.

/// A bar of ten characters for `longest`.
pub fn bar(duration: f64, longest: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    const WIDTH: f64 = 10.0;
    if longest <= 0.0 {
        return String::new();
    }
    let eighths = (duration / longest * WIDTH * 8.0).round() as usize;
    // A run that took any time at all is visible.
    let eighths = eighths.max(usize::from(duration > 0.0));
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// A column for each duration, the highest for the longest.
pub fn columns(durations: &[f64]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let longest = durations.iter().copied().fold(0.0, f64::max);
    let height = |duration: &f64| {
        if longest <= 0.0 {
            return HEIGHTS[0];
        }
        let height = (duration / longest * 8.0).ceil() as usize;
        HEIGHTS[height.clamp(1, HEIGHTS.len()) - 1]
    };
    durations.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!(bar(2.0, 2.0), "██████████");
        assert_eq!(bar(1.0, 2.0), "█████");
        assert_eq!(bar(0.1, 8.0), "▏");
        assert_eq!(bar(0.0001, 8.0), "▏");
        assert_eq!(bar(0.0, 8.0), "");
        assert_eq!(bar(0.0, 0.0), "");
    }

    #[test]
    fn columns_are_as_high_as_durations_are_long() {
        assert_eq!(columns(&[]), "");
        assert_eq!(columns(&[0.0, 0.0]), "▁▁");
        assert_eq!(columns(&[0.0, 0.1, 4.0, 8.0, f64::NAN]), "▁▁▄█▁");
    }
}
