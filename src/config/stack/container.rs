//! Programs that usually run elsewhere: SLURM scripts and images.

use super::finder::Finder;

impl Finder<'_> {
    pub(super) fn slurm(&mut self) {
        let scripts: Vec<&str> =
            self.names().filter(|name| self.text(name).lines().any(|line| line.starts_with("#SBATCH"))).collect();
        let Some(first) = scripts.first() else { return };
        self.proposal.stacks.push("SLURM");
        self.proposal.notes.push(format!(
            "`{first}` is a SLURM script: put `sentry run --` in front of its last command and submit it as before (`process.kind: slurm` \
             is not there yet)"
        ));
        for script in &scripts {
            // Not the script itself: `sentry run` stands inside it, and would start it again.
            if let Some(command) = last_command(self.text(script)) {
                self.command(&command.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        self.proposal.snapshots.extend(scripts.iter().map(|script| (*script).to_owned()));
    }

    pub(super) fn docker(&mut self) {
        let Some(file) = self.first(&["Dockerfile", "Containerfile"]) else { return };
        self.proposal.stacks.push("Docker");
        self.proposal.notes.push(format!(
            "`{file}`: inside the image, `ENTRYPOINT [\"sentry\", \"run\", \"--\"]` supervises its CMD (`process.kind: docker` is not there yet)"
        ));
        if let Some(command) = docker_command(self.text(file)) {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            self.command(&words);
        }
        if let Some(line) = self.text("Procfile").lines().find_map(|line| line.strip_prefix("web:")) {
            let words = shlex::split(line).unwrap_or_default();
            self.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}

/// The last command of a shell script, if no shell is needed to run it.
fn last_command(script: &str) -> Option<Vec<String>> {
    let joined = script.replace("\\\r\n", " ").replace("\\\n", " ");
    let line = joined.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('#'))?;
    if line.contains(['$', '`', '|', '&', ';', '<', '>', '(', ')', '{', '}', '*', '?', '~']) {
        return None;
    }
    let mut words = shlex::split(line)?;
    if words.first().is_some_and(|word| word == "exec") {
        words.remove(0);
    }
    let program = words.first()?;
    let of_shell =
        matches!(program.as_str(), "fi" | "done" | "esac" | "wait" | "exit" | "echo" | "cd" | "return" | "module");
    (!of_shell && !program.contains('=')).then_some(words)
}

/// The last ENTRYPOINT and CMD put together, as Docker would run them (Dockerfile reference, "CMD").
fn docker_command(dockerfile: &str) -> Option<Vec<String>> {
    let joined = dockerfile.replace("\\\r\n", " ").replace("\\\n", " ");
    let last = |name: &str| {
        let mut lines = joined.lines().map(str::trim).filter_map(|line| {
            let (word, rest) = line.split_once(char::is_whitespace)?;
            word.eq_ignore_ascii_case(name).then(|| rest.trim())
        });
        let rest = lines.next_back()?;
        if rest.starts_with('[') {
            return serde_json::from_str::<Vec<String>>(rest).ok().map(|words| (words, true));
        }
        shlex::split(rest).map(|words| (words, false))
    };
    let command = match (last("ENTRYPOINT"), last("CMD")) {
        // The shell form of ENTRYPOINT ignores CMD.
        (Some((entry, false)), _) => entry,
        (Some((entry, true)), cmd) => {
            entry.into_iter().chain(cmd.map(|(words, _)| words).unwrap_or_default()).collect()
        }
        (None, Some((words, _))) => words,
        (None, None) => return None,
    };
    (!command.is_empty()).then_some(command)
}
