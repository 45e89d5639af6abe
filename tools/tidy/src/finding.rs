//! What a rule says, and who is excused from it.

use std::fmt;

/// One violation: where, of what, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Path from the root of the tree.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What an exception names: the file, or `file#function`.
    pub subject: String,
    /// What is wrong, with the two numbers that disagree, and what to do.
    pub problem: String,
}

impl Finding {
    pub(crate) fn new(rule: &'static str, file: &str, line: usize, problem: String) -> Finding {
        Finding { rule, file: file.into(), line, subject: file.into(), problem }
    }

    /// Narrows what an exception has to name to one item of the file.
    pub(crate) fn about(self, item: &str) -> Finding {
        Finding { subject: format!("{}#{item}", self.file), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { rule, file, line, problem, .. } = self;
        write!(f, "{file}:{line}: {rule}: {problem}")
    }
}

/// Someone who may break a rule, and why.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The rule's name.
    pub rule: &'static str,
    /// A file, or `file#function`, exactly as the finding names it.
    pub subject: &'static str,
    /// Why the rule would make this place worse.
    pub reason: &'static str,
}

impl Exception {
    fn excuses(&self, finding: &Finding) -> bool {
        self.rule == finding.rule && self.subject == finding.subject && !self.reason.is_empty()
    }
}

/// The findings that no exception covers.
pub fn excused(findings: Vec<Finding>, exceptions: &[Exception]) -> Vec<Finding> {
    let excuse = |finding: &Finding| exceptions.iter().any(|one| one.excuses(finding));
    findings.into_iter().filter(|finding| !excuse(finding)).collect()
}

/// The exceptions that cover nothing: whoever removed the cause removes the exception too.
pub fn unused<'a>(findings: &[Finding], exceptions: &'a [Exception]) -> Vec<&'a Exception> {
    let covers = |one: &Exception| findings.iter().any(|finding| one.excuses(finding));
    exceptions.iter().filter(|one| !covers(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(file: &str) -> Finding {
        Finding::new("column", file, 3, "110 columns, at most 100; break the line".into())
    }

    const EXCUSE: Exception = Exception { rule: "column", subject: "a.rs", reason: "a table" };

    #[test]
    fn a_finding_names_place_rule_numbers_and_cure() {
        let text = long("a.rs").to_string();
        assert_eq!(text, "a.rs:3: column: 110 columns, at most 100; break the line");
    }

    #[test]
    fn an_exception_excuses_only_its_own_place() {
        let left = excused(vec![long("a.rs"), long("b.rs"), long("a.rs").about("f")], &[EXCUSE]);
        assert_eq!(left, [long("b.rs"), long("a.rs").about("f")]);
    }

    #[test]
    fn an_exception_without_a_reason_excuses_nothing() {
        let mute = Exception { reason: "", ..EXCUSE };
        assert_eq!(excused(vec![long("a.rs")], &[mute]).len(), 1);
    }

    #[test]
    fn an_exception_that_covers_nothing_is_named() {
        assert_eq!(unused(&[long("b.rs")], &[EXCUSE]).len(), 1);
        assert_eq!(unused(&[long("a.rs")], &[EXCUSE]).len(), 0);
    }
}
