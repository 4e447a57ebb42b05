//! Asks a service whether it is well, for `sentry probe`: HTTP, a connection, a command.
//!
//! A service that does not answer in time has failed. Where nobody could ask (a name that cannot be resolved, a program
//! that is not there) nothing is known about it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use crate::detect::look::{Answer, Reason};
use crate::detect::probe_watch::no_answer;
use crate::os::clock::SystemClock;
use crate::os::job::{Job, JobSpec, JobState};
use crate::os::process;
use crate::os::wait::wait;
use crate::time::Mono;

/// Bytes of a body that are searched.
const MAX_BODY: u64 = 1024 * 1024;
/// Redirects that are followed.
const MAX_REDIRECTS: u32 = 5;
/// Bytes of a command's output that are kept.
const KEEP: usize = 64 * 1024;
/// Characters of a command's last line in a message.
const MAX_LAST_LINE: usize = 200;

/// `GET url`. Redirects on the same host are followed, unless a redirect is what is well; one that leads elsewhere is an
/// answer by itself. Proxies are not asked.
pub(super) fn http(url: &str, status: (u16, u16), body: Option<&str>, timeout: Duration) -> Answer {
    let regex = match body.map(|body| regex::bytes::RegexBuilder::new(body).unicode(false).build()).transpose() {
        Ok(regex) => regex,
        Err(error) => return Answer::Unknown { why: error.to_string() },
    };
    let deadline = SystemClock::mono() + timeout;
    let wants_redirect = status.0 >= 300 && status.1 < 400;
    let mut url = url.to_owned();
    let mut followed = 0;
    loop {
        let response = match get(&url, deadline) {
            Ok(response) => response,
            Err(error) => return broken(error, timeout),
        };
        let code = response.status().as_u16();
        let location = response.headers().get("location").and_then(|location| location.to_str().ok());
        let next = location.filter(|_| !wants_redirect && matches!(code, 301 | 302 | 303 | 307 | 308));
        match next.and_then(|location| same_host(&url, location)) {
            Some(next) if followed < MAX_REDIRECTS => {
                followed += 1;
                url = next;
            }
            _ => return judge(response, code, status, regex.as_ref(), timeout),
        }
    }
}

fn get(url: &str, deadline: Mono) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    // Zero would mean no limit.
    let left = deadline.since(SystemClock::mono()).max(Duration::from_millis(1));
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("sentry/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(left))
        // A little less, so that a name server that does not answer is not taken for the service.
        .timeout_resolve(Some(left * 9 / 10))
        .build()
        .new_agent();
    agent.get(url).call()
}

fn judge(
    response: ureq::http::Response<ureq::Body>,
    code: u16,
    (low, high): (u16, u16),
    body: Option<&regex::bytes::Regex>,
    timeout: Duration,
) -> Answer {
    if !(low..=high).contains(&code) {
        let said = format!("answered {code}");
        return Answer::Failed { reason: Reason::Status, said, value: Some(code.to_string()) };
    }
    if let Some(regex) = body {
        let mut bytes = Vec::new();
        if let Err(error) = response.into_body().into_reader().take(MAX_BODY).read_to_end(&mut bytes) {
            return broken(ureq::Error::from(error), timeout);
        }
        if !regex.is_match(&bytes) {
            let said = format!("answered {code}, but its body does not match");
            return Answer::Failed { reason: Reason::Body, said, value: Some(code.to_string()) };
        }
    }
    Answer::Well { said: format!("answered {code}") }
}

/// An exchange that came to no end: the service's fault, or nobody's who knows anything about the service.
fn broken(error: ureq::Error, timeout: Duration) -> Answer {
    use ureq::Error;
    match error {
        Error::Timeout(ureq::Timeout::Resolve) => {
            Answer::Unknown { why: "the name could not be resolved in time".to_owned() }
        }
        Error::Timeout(_) | Error::BodyStalled => timed_out(timeout),
        Error::HostNotFound => Answer::Unknown { why: "the name could not be resolved".to_owned() },
        Error::Io(error) => refused(&error, timeout),
        Error::BadUri(_) | Error::Http(_) => Answer::Unknown { why: error.to_string() },
        Error::Protocol(_) | Error::LargeResponseHeader(..) => {
            let said = format!("answered with something else than HTTP: {error}");
            Answer::Failed { reason: Reason::NotHttp, said, value: None }
        }
        error => Answer::Unknown { why: error.to_string() },
    }
}

/// What a failed connection says. What went wrong on our side of it says nothing about the service.
fn refused(error: &io::Error, timeout: Duration) -> Answer {
    let failed = |reason, said: &str| Answer::Failed { reason, said: said.to_owned(), value: None };
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => timed_out(timeout),
        ErrorKind::ConnectionRefused => failed(Reason::Refused, "refused the connection"),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => failed(Reason::Closed, "closed the connection without an answer"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            failed(Reason::Unreachable, "cannot be reached")
        }
        _ => Answer::Unknown { why: error.to_string() },
    }
}

fn timed_out(timeout: Duration) -> Answer {
    Answer::Failed { reason: Reason::Timeout, said: no_answer(timeout), value: None }
}

/// Where a redirect leads, if that is the same host by the same protocol (RFC 9110, 10.2.2; RFC 3986, 4.2).
fn same_host(url: &str, location: &str) -> Option<String> {
    let rest = url.strip_prefix("http://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if location.starts_with("//") {
        return same_host(url, &format!("http:{location}"));
    }
    if let Some(elsewhere) = location.strip_prefix("http://") {
        let end = elsewhere.find(['/', '?', '#']).unwrap_or(elsewhere.len());
        let host = elsewhere.get(..end)?;
        let own = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        return host.eq_ignore_ascii_case(own).then(|| location.to_owned());
    }
    if location.starts_with('/') {
        return Some(format!("http://{authority}{location}"));
    }
    if location.split('/').next().is_some_and(|first| first.contains(':')) {
        return None; // `https://…` and others.
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(format!("http://{authority}{folder}/{location}"))
}

/// A connection, which is closed at once.
pub(super) fn tcp(address: &str, timeout: Duration) -> Answer {
    let deadline = SystemClock::mono() + timeout;
    let addresses = match resolve(address, timeout) {
        Ok(addresses) => addresses,
        Err(error) => return Answer::Unknown { why: format!("the name could not be resolved: {error}") },
    };
    let mut last = Answer::Unknown { why: "the name has no address".to_owned() };
    for address in addresses {
        let left = deadline.since(SystemClock::mono());
        if left.is_zero() {
            return timed_out(timeout);
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Answer::Well { said: "accepted a connection".to_owned() },
            Err(error) => last = refused(&error, timeout),
        }
    }
    last
}

/// Addresses behind a name. What getaddrinfo(3) does has no deadline of its own, so it is left behind in a thread.
fn resolve(address: &str, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let (sender, receiver) = mpsc::channel();
    let name = address.to_owned();
    std::thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        // Nobody waits any more when it comes too late.
        let _ = sender.send(name.to_socket_addrs().map(Vec::from_iter));
    })?;
    receiver.recv_timeout(timeout * 9 / 10).unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// A command that says with its exit status whether the service is well.
pub(super) fn command(argv: &[String], cwd: &Path, env: &BTreeMap<String, String>, timeout: Duration) -> Answer {
    let spec = JobSpec { argv: argv.to_vec(), cwd: cwd.to_path_buf(), env: env.clone(), timeout, keep: KEEP };
    let mut job = match Job::spawn(&spec, SystemClock::mono()) {
        Ok(job) => job,
        Err(error) => return Answer::Unknown { why: format!("cannot run `{}`: {error}", argv.join(" ")) },
    };
    // Whoever asked may be killed; a command with a long timeout must not outlive it by that.
    let asker =
        rustix::process::getppid().and_then(|asker| process::pidfd(asker.as_raw_nonzero().get().unsigned_abs()).ok());
    while job.on_ready(SystemClock::mono()) == JobState::Running {
        let left = job.deadline().since(SystemClock::mono());
        let asker: Option<BorrowedFd<'_>> = asker.as_ref().map(AsFd::as_fd);
        let fds: Vec<BorrowedFd<'_>> = asker.into_iter().chain(job.fds()).collect();
        match wait(&fds, Some(left)) {
            Ok(ready) if asker.is_some() && ready.is_ready(0) => {
                // Dropping the job ends it with all below it.
                return Answer::Unknown { why: "nobody waits for the answer any more".to_owned() };
            }
            Ok(_) => {}
            Err(error) => {
                return Answer::Unknown { why: format!("cannot wait for `{}`: {error}", argv.join(" ")) };
            }
        }
    }
    let result = job.finish();
    let last_line = result.stdout.last_line().or_else(|| result.stderr.last_line()).unwrap_or_default();
    let last_line: String = last_line.chars().take(MAX_LAST_LINE).collect();
    let behind = if last_line.is_empty() { String::new() } else { format!(": {last_line}") };
    if result.is_success() {
        return Answer::Well { said: format!("exit code 0{behind}") };
    }
    if result.timed_out {
        return timed_out(timeout);
    }
    let status = result.status.map(|status| (status.code(), status.signal()));
    let (what, value) = match status {
        Some((Some(code), _)) => (format!("failed with exit code {code}"), Some(code)),
        Some((None, Some(signal))) => (format!("was ended by signal {signal}"), Some(128 + signal)),
        Some((None, None)) | None => ("ended, and nobody knows how".to_owned(), None),
    };
    Answer::Failed { reason: Reason::Exit, said: what + &behind, value: value.map(|value| value.to_string()) }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A server that gives these answers, one per connection, and then listens no more. Its address.
    fn server(answers: &[&str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                // The asking side may have seen enough.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        address
    }

    fn reply(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    fn redirect(to: &str) -> String {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    }

    /// `well: …`, `status 503: …`, `unknown: …`.
    fn words(answer: Answer) -> String {
        match answer {
            Answer::Well { said } => format!("well: {said}"),
            Answer::Failed { reason, said, .. } => format!("{}: {said}", reason.as_str()),
            Answer::Unknown { why } => format!("unknown: {why}"),
            Answer::Resources(_) => "resources".to_owned(),
        }
    }

    #[test]
    fn http_answers_are_judged() {
        const ALL_WELL: (u16, u16) = (200, 399);
        let ok = reply("200 OK", "all is fine");
        let bad = reply("503 Service Unavailable", "");
        let (home, away, secure) = (redirect("/home"), redirect("http://127.0.0.2:1/x"), redirect("https://h/"));
        type Row<'a> = (&'a str, &'a [&'a str], (u16, u16), Option<&'a str>, &'a str);
        let rows: [Row<'_>; 12] = [
            ("well", &[&ok], ALL_WELL, None, "well: answered 200"),
            ("bad", &[&bad], ALL_WELL, None, "status: answered 503"),
            ("bad is well", &[&bad], (503, 503), None, "well: answered 503"),
            ("body", &[&ok], ALL_WELL, Some("is (fine|good)"), "well: answered 200"),
            ("wrong body", &[&ok], ALL_WELL, Some("degraded"), "body: answered 200, but its body does not match"),
            ("redirect", &[&home, &ok], ALL_WELL, None, "well: answered 200"),
            ("redirect to bad", &[&home, &bad], ALL_WELL, None, "status: answered 503"),
            ("redirect elsewhere", &[&away], ALL_WELL, None, "well: answered 302"),
            ("redirect to https", &[&secure], (200, 299), None, "status: answered 302"),
            ("redirect is well", &[&home], (302, 302), None, "well: answered 302"),
            ("circle", &[&home, &home, &home, &home, &home, &home], ALL_WELL, None, "well: answered 302"),
            ("closed", &[""], ALL_WELL, None, "closed: closed the connection without an answer"),
        ];
        for (case, answers, status, body, expected) in rows {
            let url = format!("http://{}/healthz", server(answers));
            assert_eq!(words(http(&url, status, body, TIMEOUT)), expected, "{case}");
        }
        let garbage = words(http(&format!("http://{}/", server(&["SSH-2.0-x\r\n\r\n"])), ALL_WELL, None, TIMEOUT));
        assert!(garbage.starts_with("not_http: answered with something else than HTTP"), "{garbage}");
    }

    #[test]
    fn silence_is_an_answer_and_a_wrong_name_is_none() {
        let short = Duration::from_millis(200);
        // Accepts (the kernel does) and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let url = format!("http://{address}/");
        assert_eq!(words(http(&url, (200, 200), None, short)), "timeout: gave no answer within 0.2 s");
        assert_eq!(words(tcp(&address, TIMEOUT)), "well: accepted a connection");
        drop(listener);
        assert_eq!(words(http(&url, (200, 200), None, TIMEOUT)), "refused: refused the connection");
        assert_eq!(words(tcp(&address, TIMEOUT)), "refused: refused the connection");
        // RFC 6761: never resolves.
        let unknown = words(tcp("nobody.invalid:80", TIMEOUT));
        assert!(unknown.starts_with("unknown: the name could not be resolved"), "{unknown}");
        let unknown = words(http("http://nobody.invalid/", (200, 200), None, TIMEOUT));
        assert!(unknown.starts_with("unknown: "), "{unknown}");
    }

    #[test]
    fn commands_are_judged_by_their_status() {
        let sh = |script: &str, timeout| {
            let argv = ["sh", "-c", script].map(str::to_owned);
            words(command(&argv, Path::new("/"), &BTreeMap::from([("MARK".to_owned(), "seven".to_owned())]), timeout))
        };
        let rows = [
            ("exit 0", "well: exit code 0"),
            ("echo first; echo $MARK", "well: exit code 0: seven"),
            ("echo lag 12 s; exit 3", "exit: failed with exit code 3: lag 12 s"),
            ("echo why >&2; exit 1", "exit: failed with exit code 1: why"),
            ("kill -9 $$", "exit: was ended by signal 9"),
        ];
        for (script, expected) in rows {
            assert_eq!(sh(script, TIMEOUT), expected, "{script}");
        }
        assert_eq!(sh("exec tail -f /dev/null", Duration::from_millis(200)), "timeout: gave no answer within 0.2 s");
        let missing = words(command(&["/no/such".to_owned()], Path::new("/"), &BTreeMap::new(), TIMEOUT));
        assert!(missing.starts_with("unknown: cannot run `/no/such`"), "{missing}");
    }

    #[test]
    fn redirects_stay_on_the_host() {
        let rows = [
            ("http://h:1/a/b?c", "/x?y", Some("http://h:1/x?y")),
            ("http://h:1/a/b?c/d", "x", Some("http://h:1/a/x")),
            ("http://h:1", "x", Some("http://h:1/x")),
            ("http://u:p@h:1/", "http://H:1/z", Some("http://H:1/z")),
            ("http://h:1/", "//h:1/z", Some("http://h:1/z")),
            ("http://h:1/", "http://h:2/", None),
            ("http://h:1/", "http://h:1.evil/", None),
            ("http://h:1/", "https://h:1/", None),
            ("http://h:1/", "//other/", None),
        ];
        for (url, location, expected) in rows {
            assert_eq!(same_host(url, location).as_deref(), expected, "{url} -> {location}");
        }
    }
}
