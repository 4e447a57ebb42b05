//! Layouts of Ruby that the labelled streams in `fixtures/traces` do not have.

use super::rig::{assert_corpus, read_all, summary};
use super::ruby::Ruby;

#[test]
fn every_layout_is_read() {
    // (name, log, what is read)
    for (name, log, expected) in [
        (
            "2.7, the newest call last",
            r#"Traceback (most recent call last):
	2: from main.rb:14:in `<main>'
	1: from cart.rb:10:in `load'
cart.rb:8:in `total': cart is broken (Shop::Broken)"#,
            r#"1-4 ruby Shop::Broken "cart is broken" [main.rb:14 <main>, cart.rb:10 load, cart.rb:8 total] top 2 causes []"#,
        ),
        (
            "Rails in development, a template with its source",
            r#"Started GET "/carts/7" for 127.0.0.1 at 2026-11-21 10:00:00 +0000
Processing by CartsController#show as HTML
Completed 500 Internal Server Error in 12ms (ActiveRecord: 0.0ms | Allocations: 1203)


  
ActionView::Template::Error (undefined method 'price' for nil):
    1: <h1>Cart</h1>
    2: <%= @cart.price %>
    3: <p></p>
  
app/views/carts/show.html.erb:2
app/controllers/carts_controller.rb:5:in 'show'
Started GET "/" for 127.0.0.1 at 2026-11-21 10:00:01 +0000"#,
            r#"7-13 ruby ActionView::Template::Error "undefined method 'price' for nil" [app/views/carts/show.html.erb:2 -, app/controllers/carts_controller.rb:5 show] top 0 causes []"#,
        ),
        (
            "Puma",
            r#"2026-11-21 10:00:00 +0000 Rack app ("GET /x" - (127.0.0.1)): #<RuntimeError: boom>
/app/config.ru:3:in 'block in <main>'
/usr/local/bundle/gems/puma-6.4.0/lib/puma/request.rb:100:in 'handle_request'
* Listening on http://0.0.0.0:9292"#,
            r#"1-3 ruby RuntimeError "boom" [/app/config.ru:3 block in <main>, /usr/local/bundle/gems/puma-6.4.0/lib/puma/request.rb:100 handle_request] top 0 causes []"#,
        ),
        (
            "Sinatra",
            r#"2026-11-21 10:00:00 - KeyError - key not found: "x":
	app.rb:6:in 'block in <class:A>'
	/usr/lib/ruby/gems/3.1.0/gems/sinatra-3.0/lib/sinatra/base.rb:1763:in 'call'
127.0.0.1 - - [21/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 500"#,
            r#"1-3 ruby KeyError "key not found: \"x\"" [app.rb:6 block in <class:A>, /usr/lib/ruby/gems/3.1.0/gems/sinatra-3.0/lib/sinatra/base.rb:1763 call] top 0 causes []"#,
        ),
        (
            "a file that is required has a syntax error",
            r#"/srv/main.rb:1:in 'Kernel#require_relative': --> /srv/lib.rb
Unmatched `end'
/srv/lib.rb:3: syntax error found (SyntaxError)
  1 | def x
> 3 | end
    | ^~~ unexpected 'end', ignoring it
	from /srv/main.rb:1:in '<main>'"#,
            r#"1-7 ruby SyntaxError "syntax error found\n  1 | def x\n> 3 | end\n    | ^~~ unexpected 'end', ignoring it" [/srv/main.rb:1 Kernel#require_relative, /srv/lib.rb:3 -, /srv/main.rb:1 <main>] top 0 causes []"#,
        ),
        (
            "Bundler",
            r#"bundler: failed to load command: rake (/usr/local/bundle/bin/rake)
/usr/local/bundle/gems/bundler-2.4/lib/bundler/resolver.rb:5:in 'resolve': Could not find gem 'x' in locally installed gems. (Bundler::GemNotFound)
	from /usr/local/bundle/bin/rake:25:in '<main>'"#,
            r#"2-3 ruby Bundler::GemNotFound "Could not find gem 'x' in locally installed gems." [/usr/local/bundle/gems/bundler-2.4/lib/bundler/resolver.rb:5 resolve, /usr/local/bundle/bin/rake:25 <main>] top - causes []"#,
        ),
        (
            "test-unit",
            r#"Loaded suite t
Started
E
-------------------------------------------------------------------------------
Error: test_total(CartTest): ArgumentError: bad
/srv/cart.rb:2:in 'total'
/srv/t.rb:5:in 'test_total'
     2: def total
-------------------------------------------------------------------------------
Finished in 0.001 seconds."#,
            r#"5-7 ruby ArgumentError "bad" [/srv/cart.rb:2 total, /srv/t.rb:5 test_total] top 0 causes []"#,
        ),
        (
            "minitest under Rails",
            r#"Running 2 tests in a single process
E

Error:
CartTest#test_total:
ArgumentError: bad
    app/models/cart.rb:2:in 'total'
    test/models/cart_test.rb:5:in 'block in <class:CartTest>'

bin/rails test test/models/cart_test.rb:4

F

Failure:
CartTest#test_eq [test/models/cart_test.rb:9]:
Expected: 3
  Actual: 2

bin/rails test test/models/cart_test.rb:8"#,
            r#"4-8 ruby ArgumentError "bad" [app/models/cart.rb:2 total, test/models/cart_test.rb:5 block in <class:CartTest>] top 0 causes []
14-17 ruby - "Expected: 3\n  Actual: 2" [test/models/cart_test.rb:9 -] top 0 causes []"#,
        ),
        (
            "Logger, a message of two lines",
            r#"E, [2026-11-21T10:00:00.100001 #12] ERROR -- worker: cannot save (ActiveRecord::RecordInvalid)
Validation failed: name
app/models/cart.rb:12:in 'Cart#save'
app/jobs/x.rb:3:in 'X#perform'
I, [2026-11-21T10:00:00.200001 #12]  INFO -- worker: ok"#,
            r#"1-4 ruby ActiveRecord::RecordInvalid "cannot save\nValidation failed: name" [app/models/cart.rb:12 Cart#save, app/jobs/x.rb:3 X#perform] top 0 causes []"#,
        ),
        (
            "a backtrace printed by hand",
            r#"failed: boom
RuntimeError: boom
  app/a.rb:1:in `x'
  app/b.rb:2:in `y'
next"#,
            r#"2-4 ruby RuntimeError "boom" [app/a.rb:1 x, app/b.rb:2 y] top 0 causes []"#,
        ),
        (
            "a suggestion behind the code",
            r#"a.rb:3:in '<main>': undefined local variable or method 'fooo' for main (NameError)

fooo
^^^^
Did you mean?  foo
next line"#,
            r#"1-5 ruby NameError "undefined local variable or method 'fooo' for main\n\nfooo\n^^^^\nDid you mean?  foo" [a.rb:3 <main>] top 0 causes []"#,
        ),
        (
            "JRuby",
            r#"Error: Your application used more memory than the automatic cap of 500MB.
RuntimeError: boom
     foo at a.rb:3
  <main> at a.rb:7"#,
            r#"2-4 ruby RuntimeError "boom" [a.rb:3 foo, a.rb:7 <main>] top 0 causes []"#,
        ),
        (
            "Rake, with a cause",
            r#"rake aborted!
ActiveRecord::ConnectionNotEstablished: connection refused
/srv/lib/tasks/x.rake:5:in 'block in <top (required)>'

Caused by:
PG::ConnectionBad: connection refused
/srv/lib/db.rb:7:in 'connect'
/srv/lib/tasks/x.rake:5:in 'block in <top (required)>'
Tasks: TOP => x
(See full trace by running task with --trace)"#,
            r#"1-8 ruby ActiveRecord::ConnectionNotEstablished "connection refused" [/srv/lib/tasks/x.rake:5 block in <top (required)>, /srv/lib/db.rb:7 connect, /srv/lib/tasks/x.rake:5 block in <top (required)>] top 1 causes [PG::ConnectionBad]"#,
        ),
        (
            "elided levels",
            r#"a.rb:19:in `f': stack level too deep (SystemStackError)
	from a.rb:19:in `f'
	from a.rb:19:in `f'
	from a.rb:19:in `f'
	from a.rb:19:in `f'
	from a.rb:19:in `f'
	from a.rb:19:in `f'
	from a.rb:19:in `f'
	from a.rb:19:in `f'
	 ... 10067 levels...
	from a.rb:19:in `f'
	from a.rb:19:in `f'
	from a.rb:19:in `f'
	from a.rb:19:in `<main>'"#,
            r#"1-14 ruby SystemStackError "stack level too deep" [a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 f, a.rb:19 <main>] top 0 causes []"#,
        ),
        (
            "a thread",
            r#"#<Thread:0x00007f9dfa8edd58 a.rb:20 run> terminated with exception (report_on_exception is true):
a.rb:20:in `block in <main>': in thread (RuntimeError)
rescued"#,
            r#"2-2 ruby RuntimeError "in thread" [a.rb:20 block in <main>] top 0 causes []"#,
        ),
        (
            "no message",
            r#"a.rb:28:in `kill': Interrupt
	from a.rb:28:in `<main>'"#,
            r#"1-2 ruby Interrupt "" [a.rb:28 kill, a.rb:28 <main>] top 0 causes []"#,
        ),
        (
            "the old parser's errors",
            r#"syn.rb:3: syntax error, unexpected `end'
syn.rb:5: unterminated string meets end of file
puts "a
       ^
syn.rb:5: syntax error, unexpected end-of-input, expecting `end'
puts "a
       ^"#,
            r#"1-7 ruby SyntaxError "syntax error, unexpected `end'\nputs \"a\n       ^\nputs \"a\n       ^" [syn.rb:3 -] top 0 causes []"#,
        ),
        (
            "Delayed::Job",
            r#"2026-11-21T10:00:00+0000: [Worker(host:x pid:1)] Job HardJob (id=7) FAILED (0 prior attempts) with RuntimeError: boom
/app/x.rb:3:in 'run'"#,
            r#"1-2 ruby RuntimeError "boom" [/app/x.rb:3 run] top 0 causes []"#,
        ),
        (
            "a server's line without a record",
            r#"!! Unexpected error while processing request: boom
	/app/x.rb:3:in `call'
	/usr/lib/ruby/gems/thin.rb:1:in `x'"#,
            r#"1-3 ruby - "!! Unexpected error while processing request: boom" [/app/x.rb:3 call, /usr/lib/ruby/gems/thin.rb:1 x] top 0 causes []"#,
        ),
        (
            "the code stands between head and frames",
            r#"test.rb:1:in 'Integer#/': divided by 0 (ZeroDivisionError)

1 / 0
  ^
	from test.rb:1:in '<main>'"#,
            r#"1-5 ruby ZeroDivisionError "divided by 0\n\n1 / 0\n  ^" [test.rb:1 Integer#/, test.rb:1 <main>] top 0 causes []"#,
        ),
        (
            "Cucumber",
            r#"    Given a cart                 # features/step_definitions/x.rb:1
      boom (RuntimeError)
      ./features/step_definitions/x.rb:3:in `/^a cart$/'
      features/cart.feature:4:in `Given a cart'"#,
            r#"2-4 ruby RuntimeError "boom" [./features/step_definitions/x.rb:3 /^a cart$/, features/cart.feature:4 Given a cart] top 0 causes []"#,
        ),
        (
            "ActiveJob",
            r#"[ActiveJob] [HardJob] [1a2b] Error performing HardJob (Job ID: 1a2b) from Async(default) in 2.3ms: RuntimeError (boom):
/app/jobs/hard_job.rb:5:in 'HardJob#perform'
/usr/local/bundle/gems/activejob-7.1/lib/active_job/execution.rb:68:in 'block in _perform_job'
[ActiveJob] next"#,
            r#"1-3 ruby RuntimeError "boom" [/app/jobs/hard_job.rb:5 HardJob#perform, /usr/local/bundle/gems/activejob-7.1/lib/active_job/execution.rb:68 block in _perform_job] top 0 causes []"#,
        ),
        (
            "back to back",
            r#"a.rb:1:in '<main>': boom (RuntimeError)
a.rb:1:in '<main>': boom (RuntimeError)"#,
            r#"1-1 ruby RuntimeError "boom" [a.rb:1 <main>] top 0 causes []
2-2 ruby RuntimeError "boom" [a.rb:1 <main>] top 0 causes []"#,
        ),
        (
            "Capistrano",
            r#"(Backtrace restricted to imported tasks)
cap aborted!
SSHKit::Runner::ExecuteError: Exception while executing as deploy@h: bundle exit status: 1
/srv/config/deploy.rb:12:in 'block in <top>'"#,
            r#"2-4 ruby SSHKit::Runner::ExecuteError "Exception while executing as deploy@h: bundle exit status: 1" [/srv/config/deploy.rb:12 block in <top>] top 0 causes []"#,
        ),
        (
            "prose, warnings, linters, test lists",
            r#"/srv/a.rb:3: warning: method redefined; discarding old a
DEPRECATION WARNING: x is deprecated (called from index at /srv/app/x.rb:3)
rspec ./t_spec.rb:4 # Cart fails
Failed examples:
  Offenses: app/models/cart.rb:12:5: C: Style/StringLiterals: Prefer single-quoted strings
Coverage report generated for RSpec to /srv/coverage. 10 / 10 LOC (100.0%) covered.
Cart
  raises ArgumentError (FAILED - 1)
config/initializers/x.rb:3: see KeyError (docs)
NoMethodError is raised when a method is missing
2026-11-21 10:00:00 INFO caller was app/x.rb:12:in `y'"#,
            r#""#,
        ),
    ] {
        assert_eq!(summary(&read_all(&Ruby, log)), expected, "{name}");
    }
}

#[test]
fn the_corpus_is_read() {
    assert_corpus(&Ruby, &["ruby"], 13);
}
