//! Layouts of PHP that the labelled streams in `fixtures/traces` do not have.

use super::php::Php;
use super::rig::{assert_corpus, read_all, summary};

#[test]
fn every_layout_is_read() {
    // (name, log, what is read)
    for (name, log, expected) in [
        (
            "Apache puts it on one line",
            r#"[Sat Nov 21 10:00:00.123456 2026] [php:error] [pid 12] [client 10.0.0.1:5000] PHP Fatal error:  Uncaught Exception: boom in /var/www/x.php:3\nStack trace:\n#0 /var/www/y.php(12): f()\n#1 {main}\n  thrown in /var/www/x.php on line 3, referer: http://x/
[Sat Nov 21 10:00:01.123456 2026] [php:warn] [pid 12] [client 10.0.0.1:5000] PHP Warning:  Undefined variable $x in /var/www/x.php on line 3"#,
            r#"1-1 php Exception "boom" [/var/www/x.php:3 -, /var/www/y.php:12 f] top 0 causes []"#,
        ),
        (
            "stamped by PHP's own log",
            r#"[21-Nov-2026 10:00:00 UTC] PHP Fatal error:  Uncaught Error: Call to undefined function foo() in /srv/x.php:3
Stack trace:
#0 {main}
  thrown in /srv/x.php on line 3
[21-Nov-2026 10:00:01 UTC] PHP Notice:  Undefined index: x in /srv/x.php on line 4"#,
            r#"1-4 php Error "Call to undefined function foo()" [/srv/x.php:3 -] top 0 causes []"#,
        ),
        (
            "Symfony's console",
            r#"$ bin/console app:x

In XCommand.php line 27:
                                
  cannot read the input file   
                                

In Reader.php line 9:
                   
  [ErrorException (2)]     
  file missing   
                   

app:x [--flag] [--] <name>"#,
            r#"3-11 php - "cannot read the input file" [XCommand.php:27 -, Reader.php:9 -] top 1 causes [ErrorException]"#,
        ),
        (
            "Symfony's log",
            r#"[2026-11-21T10:00:00.1+00:00] request.CRITICAL: Uncaught PHP Exception RuntimeException: "boom" at /srv/src/Controller/X.php line 12 {"exception":"[object] (RuntimeException(code: 0): boom at /srv/src/Controller/X.php:12)"} []
10:00:00 CRITICAL  [request] Uncaught PHP Exception App\Broken: "boom" at X.php line 12
[2026-11-21T10:00:01.1+00:00] request.INFO: Matched route "x". {"route":"x"} []"#,
            r#"1-1 php RuntimeException "boom" [/srv/src/Controller/X.php:12 -] top 0 causes []
2-2 php App\Broken "boom" [X.php:12 -] top 0 causes []"#,
        ),
        (
            "Laravel's console (Collision)",
            r#"
   RuntimeException 

  cannot read the input file

  at app/Console/Commands/X.php:12
      8▕     public function handle()
      9▕     {
  ➜  12▕         throw new RuntimeException('cannot read the input file');
     13▕     }
     14▕ }

      +13 vendor frames 

  14  artisan:35
      Illuminate\Foundation\Console\Kernel::handle()

next"#,
            r#"2-16 php RuntimeException "cannot read the input file" [app/Console/Commands/X.php:12 -, artisan:35 Illuminate\Foundation\Console\Kernel::handle] top 0 causes []"#,
        ),
        (
            "errors that are no exceptions, of old versions",
            r#"Catchable fatal error: Argument 1 passed to f() must be an array, string given in /srv/x.php on line 3
PHP Recoverable fatal error:  Object of class X could not be converted to string in /srv/x.php on line 9"#,
            r#"1-1 php Catchable fatal error "Argument 1 passed to f() must be an array, string given" [/srv/x.php:3 -] top 0 causes []
2-2 php Recoverable fatal error "Object of class X could not be converted to string" [/srv/x.php:9 -] top 0 causes []"#,
        ),
        (
            "back to back",
            r#"PHP Fatal error:  Uncaught Exception: a in /srv/x.php:3
Stack trace:
#0 {main}
  thrown in /srv/x.php on line 3
PHP Fatal error:  Uncaught Exception: b in /srv/x.php:4
Stack trace:
#0 {main}
  thrown in /srv/x.php on line 4"#,
            r#"1-4 php Exception "a" [/srv/x.php:3 -] top 0 causes []
5-8 php Exception "b" [/srv/x.php:4 -] top 0 causes []"#,
        ),
        (
            "Monolog with and without line breaks",
            r#"[2026-11-21T16:09:00.498325+00:00] app.ERROR: failed {"exception":"[object] (RuntimeException(code: 7): outer\nline at /srv/mono.php:5)\n[previous exception] [object] (InvalidArgumentException(code: 0): bad value at /srv/mono.php:4)"} []
[2026-11-21T16:09:00.499224+00:00] app.CRITICAL: failed2 {"exception":"[object] (RuntimeException(code: 7): outer
line at /srv/mono.php:5)
[stacktrace]
#0 /srv/mono.php(7): g()
#1 {main}

[previous exception] [object] (InvalidArgumentException(code: 0): bad value at /srv/mono.php:4)
[stacktrace]
#0 /srv/mono.php(5): f()
#1 /srv/mono.php(7): g()
#2 {main}
","id":3} 
{"message":"failed3","context":{"exception":{"class":"RuntimeException","message":"outer\nline","code":7,"file":"/srv/mono.php:5","previous":{"class":"InvalidArgumentException","message":"bad value","code":0,"file":"/srv/mono.php:4"}}},"level":400,"level_name":"ERROR","channel":"app","datetime":"2026-11-21T16:09:00.499738+00:00","extra":{}}
{"message":"failed4","context":{"exception":{"class":"RuntimeException","message":"outer\nline","code":7,"file":"/srv/mono.php:5","trace":["/srv/mono.php:7"],"previous":{"class":"InvalidArgumentException","message":"bad value","code":0,"file":"/srv/mono.php:4","trace":["/srv/mono.php:5","/srv/mono.php:7"]}}},"level":400,"level_name":"ERROR","channel":"app","datetime":"2026-11-21T16:09:00.499763+00:00","extra":{}}
{"message":"done","context":{},"level":200,"level_name":"INFO","channel":"app","datetime":"2026-11-21T16:09:00.499775+00:00","extra":{}}"#,
            r#"1-1 php RuntimeException "outer\nline" [/srv/mono.php:5 -, /srv/mono.php:4 -] top 1 causes [InvalidArgumentException]
2-13 php RuntimeException "outer\nline" [/srv/mono.php:5 -, /srv/mono.php:7 g, /srv/mono.php:4 -, /srv/mono.php:5 f, /srv/mono.php:7 g] top 2 causes [InvalidArgumentException]"#,
        ),
        (
            "an exception made a text, in a record and alone",
            r#"[error] InvalidArgumentException: no price
at all in /srv/a.php:6
Stack trace:
#0 /srv/a.php(5): App\Cart::price()
#1 [internal function]: App\Cart->App\{closure}()
#2 /srv/a.php(5): array_map()
#3 /srv/a.php(22): App\Cart->total()
#4 /srv/a.php(27): App\run()
#5 {main}

Next App\Broken: cart is broken in /srv/a.php:5
Stack trace:
#0 /srv/a.php(22): App\Cart->total()
#1 /srv/a.php(27): App\run()
#2 {main}
InvalidArgumentException: no price
at all in /srv/a.php:6
Stack trace:
#0 /srv/a.php(5): App\Cart::price()
#1 [internal function]: App\Cart->App\{closure}()
#2 /srv/a.php(5): array_map()
#3 /srv/a.php(22): App\Cart->total()
#4 /srv/a.php(27): App\run()
#5 {main}

Next App\Broken: cart is broken in /srv/a.php:5
Stack trace:
#0 /srv/a.php(22): App\Cart->total()
#1 /srv/a.php(27): App\run()
#2 {main}
cart is broken
#0 /srv/a.php(22): App\Cart->total()
#1 /srv/a.php(27): App\run()
#2 {main}"#,
            r#"1-15 php App\Broken "cart is broken" [/srv/a.php:6 -, /srv/a.php:5 App\Cart::price, -:0 App\Cart->App\{closure}, /srv/a.php:5 array_map, /srv/a.php:22 App\Cart->total, /srv/a.php:27 App\run, /srv/a.php:5 -, /srv/a.php:22 App\Cart->total, /srv/a.php:27 App\run] top 0 causes [InvalidArgumentException]
16-30 php App\Broken "cart is broken" [/srv/a.php:6 -, /srv/a.php:5 App\Cart::price, -:0 App\Cart->App\{closure}, /srv/a.php:5 array_map, /srv/a.php:22 App\Cart->total, /srv/a.php:27 App\run, /srv/a.php:5 -, /srv/a.php:22 App\Cart->total, /srv/a.php:27 App\run] top 0 causes [InvalidArgumentException]"#,
        ),
        (
            "out of memory, with Xdebug",
            r#"
Fatal error: Allowed memory size of 8388608 bytes exhausted (tried to allocate 2097152 bytes) in /srv/a.php on line 17

Call Stack:
    0.0002     410240   1. {main}() /srv/a.php:0
    0.0002     410240   2. App\run($m = 'mem') /srv/a.php:27"#,
            r#"2-6 php Fatal error "Allowed memory size of 8388608 bytes exhausted (tried to allocate 2097152 bytes)" [/srv/a.php:17 -, /srv/a.php:27 App\run] top 0 causes []"#,
        ),
        (
            "a parse error, twice",
            r#"PHP Parse error:  syntax error, unexpected token "{", expecting variable in /srv/syn.php on line 2

Parse error: syntax error, unexpected token "{", expecting variable in /srv/syn.php on line 2"#,
            r#"1-1 php Parse error "syntax error, unexpected token \"{\", expecting variable" [/srv/syn.php:2 -] top 0 causes []
3-3 php Parse error "syntax error, unexpected token \"{\", expecting variable" [/srv/syn.php:2 -] top 0 causes []"#,
        ),
        (
            "warnings, with and without Xdebug",
            r#"
Warning: Undefined variable $undefined in /srv/a.php on line 15

Call Stack:
    0.0002     410240   1. {main}() /srv/a.php:0
    0.0002     410240   2. App\run($m = 'warn') /srv/a.php:27


Warning: Undefined array key "k" in /srv/a.php on line 15

Call Stack:
    0.0002     410240   1. {main}() /srv/a.php:0
    0.0002     410240   2. App\run($m = 'warn') /srv/a.php:27


Deprecated: old in /srv/a.php on line 15

Call Stack:
    0.0002     410240   1. {main}() /srv/a.php:0
    0.0002     410240   2. App\run($m = 'warn') /srv/a.php:27
    0.0003     410328   3. trigger_error($message = 'old', $error_level = 16384) /srv/a.php:15

fine"#,
            r#""#,
        ),
        (
            "prose, risky tests",
            r#"Fatal error: could not open the lens
fatal error: x.h: No such file or directory
PHP Warning:  include(x.php): Failed to open stream in /srv/x.php on line 3
PHP Deprecated:  Function x() is deprecated in /srv/x.php on line 3
PHPUnit 9.6.7 by Sebastian Bergmann and contributors.
There was 1 risky test:

1) CartTest::testX
This test did not perform any assertions

/srv/CartTest.php:9

2) CartTest::testY
This test did not perform any assertions

/srv/CartTest.php:19

OK, but incomplete, skipped, or risky tests!
#0 of 5 tasks (see x.php)
{"message":"ok","context":{"exception":null}}"#,
            r#""#,
        ),
    ] {
        assert_eq!(summary(&read_all(&Php, log)), expected, "{name}");
    }
}

#[test]
fn the_corpus_is_read() {
    assert_corpus(&Php, &["php"], 9);
}
