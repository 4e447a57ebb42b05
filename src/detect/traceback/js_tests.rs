//! Whole traces of JavaScript, as their tools print them.

use super::js::JavaScript;
use super::rig::{read_all, summary};

#[test]
fn traces_are_read_whole() {
    for (name, log, expected) in [
        (
            "uncaught, with its place, code and caret",
            "up\n/srv/a.js:3\n  throw new Error('x')\n        ^\n\nError: x\n    at f (/srv/a.js:3:9)\n    at node:internal/main/run:28:49 {\n  code: 'E'\n}\n\nNode.js v20.20.2",
            "2-10 javascript Error \"x\" [/srv/a.js:3 f, node:internal/main/run:28 -] top 0 causes []",
        ),
        (
            "an error that refers to itself, and an overwritten stack",
            "/srv/a.js:3\n  throw e\n  ^\n\n<ref *1> Error: circ\n    at f (/srv/a.js:3:9)\n    at g (/srv/a.js:4:9) {\n  self: [Circular *1]\n}\n\nNode.js v20.20.2\n/srv/a.js:7\n  throw e\n  ^\n\n[nostack only]\n\nNode.js v20.20.2",
            "1-9 javascript Error \"circ\" [/srv/a.js:3 f, /srv/a.js:4 g] top 0 causes []\n12-16 javascript - \"[nostack only]\" [/srv/a.js:7 -] top 0 causes []",
        ),
        (
            "an error without frames, in an event that nobody handles",
            "node:events:502\n      throw er; // Unhandled 'error' event\n      ^\n\nError: ENOENT: no such file, open '/x'\nEmitted 'error' event on ReadStream instance at:\n    at emitErrorNT (node:internal/streams/destroy:169:8) {\n  errno: -2\n}",
            "1-9 javascript Error \"ENOENT: no such file, open '/x'\" [node:internal/streams/destroy:169 emitErrorNT] top - causes []",
        ),
        (
            "a class and its own name behind a log head",
            "[Nest] 25229  - 11/21/2026, 5:16:42 PM   ERROR [ExceptionsHandler] NotFound [NotFoundError]: no order 7\n    at load (/srv/web/lib.js:3:46)\n    at x (/srv/web/c.js:8:9)",
            "1-3 javascript NotFound \"no order 7\" [/srv/web/lib.js:3 load, /srv/web/c.js:8 x] top 0 causes []",
        ),
        (
            "a long message behind Nest's head",
            "[Nest] 25241  - 11/21/2026, 5:16:42 PM   ERROR [ExceptionHandler] UnknownDependenciesException [Error]: Nest can't resolve dependencies of the S (?).\n\nPotential solutions:\n- Is M a valid NestJS module?\n    at Injector.lookup (file:///srv/web/node_modules/@nestjs/core/injector/injector.js:471:19) {\n  type: 'S'\n}",
            "1-7 javascript UnknownDependenciesException \"Nest can't resolve dependencies of the S (?).\\n\\nPotential solutions:\\n- Is M a valid NestJS module?\" [file:///srv/web/node_modules/@nestjs/core/injector/injector.js:471 Injector.lookup] top - causes []",
        ),
        (
            "consola's causes have no type",
            " ERROR  no order 7\n\n    at load (lib.js:3:46)\n\n  [cause]: Cannot read properties\n\n      at inner (lib.js:2:30)\n      at load (lib.js:3:21)\n\nℹ down",
            "1-8 javascript - \"no order 7\" [lib.js:3 load, lib.js:2 inner, lib.js:3 load] top 1 causes []",
        ),
        (
            "a printed object with a stack",
            "{\n  level: 'error',\n  stack: 'NotFoundError: no \\'order\\' 7\\n' +\n    '    at load (/srv/web/lib.js:3:46)\\n' +\n    '    at run (/srv/web/a.js:1:43)',\n  message: 'x'\n}",
            "3-5 javascript NotFoundError \"no 'order' 7\" [/srv/web/lib.js:3 load, /srv/web/a.js:1 run] top 0 causes []",
        ),
        (
            "AVA: an exception, then a failed assertion",
            "  TypeError: no\n\n  › Object.inner (lib.js:2:30)\n  › file://t/ava.mjs:2:276\n\n  ✘ exited\n\n  thr\n\n  t/ava.mjs:2\n\n   1: import test from 'ava';\n   2: test('thr', f);\n\n  Function returned:\n\n  undefined\n\n  › file://t/ava.mjs:2:163\n",
            "1-4 javascript TypeError \"no\" [lib.js:2 Object.inner, file://t/ava.mjs:2 -] top 0 causes []\n8-19 javascript - \"Function returned:\\n\\nundefined\" [file://t/ava.mjs:2 -] top 0 causes []",
        ),
        (
            "AVA's diff",
            "  eq\n\n  t/ava.mjs:2\n\n   1: import test from 'ava';\n   2: test('eq', f);\n   3:\n\n  Difference (- actual, + expected):\n\n    {\n  -   a: 1,\n  +   a: 2,\n    }\n\n  › file://t/ava.mjs:2:17\n\n\n",
            "1-16 javascript - \"Difference (- actual, + expected):\\n\\n  {\\n-   a: 1,\\n+   a: 2,\\n  }\" [file://t/ava.mjs:2 -] top 0 causes []",
        ),
        (
            "uvu",
            "   FAIL  \"throws\"\n    no order 7\n\n    at inner (/srv/web/lib.js:2:30)\n    at Object.handler (/srv/web/t/uvu.js:2:63)\n\n\n  Total:     4",
            "1-5 javascript - \"no order 7\" [/srv/web/lib.js:2 inner, /srv/web/t/uvu.js:2 Object.handler] top 0 causes []",
        ),
        (
            "mocha's timeout has no type",
            "  4) cart\n       tmo:\n     Timeout of 20ms exceeded.\n      at listOnTimeout (node:internal/timers:581:17)\n      at process.processTimers (node:internal/timers:519:7)\n",
            "1-5 javascript - \"Timeout of 20ms exceeded.\" [node:internal/timers:581 listOnTimeout, node:internal/timers:519 process.processTimers] top - causes []",
        ),
        (
            "unhandled rejection of a plain value",
            "node:internal/process/promises:394\n      triggerUncaughtException(err, true /* fromPromise */);\n      ^\n\n[UnhandledPromiseRejection: This error originated … reason \"lost\".] {\n  code: 'ERR_UNHANDLED_REJECTION'\n}\n\nNode.js v20.20.2",
            "1-7 javascript UnhandledPromiseRejection \"This error originated … reason \\\"lost\\\".\" [] top - causes []",
        ),
        (
            "aggregate without a stack of its own",
            "[AggregateError: All promises were rejected] {\n  [errors]: [\n    TypeError: a\n        at f (/srv/a.ts:1:2),\n    RangeError: b\n        at g (/srv/a.ts:2:2) {\n      [cause]: Error: c\n          at h (/srv/a.ts:3:2)\n    }\n  ]\n}\nbye",
            "1-11 typescript AggregateError \"All promises were rejected\" [/srv/a.ts:1 f, /srv/a.ts:2 g, /srv/a.ts:3 h] top 0 causes []",
        ),
        (
            "causes, one inside the other",
            "A_Error: a\n    at f (/srv/a.js:1:2) {\n  [cause]: TypeError: b\n      at g (/srv/a.js:2:2) {\n    [cause]: RangeError [ERR_Z]: c\n        at h (/srv/a.js:3:2)\n  }\n}\nbye",
            "1-8 javascript A_Error \"a\" [/srv/a.js:1 f, /srv/a.js:2 g, /srv/a.js:3 h] top 2 causes [TypeError, RangeError]",
        ),
        (
            "an event that nobody handles",
            "node:events:497\n      throw er; // Unhandled 'error' event\n      ^\n\nError: listen EADDRINUSE: address already in use :::3000\n    at Server.listen (node:net:1:2)\n    at f (/srv/a.js:1:2)\nEmitted 'error' event on Server instance at:\n    at emitErrorNT (node:net:3:4) {\n  port: 3000\n}\nx",
            "1-11 javascript Error \"listen EADDRINUSE: address already in use :::3000\" [node:net:1 Server.listen, /srv/a.js:1 f, node:net:3 emitErrorNT] top 1 causes []",
        ),
        (
            "a warning of an old Node, then its advice",
            "(node:12) UnhandledPromiseRejectionWarning: Error: boom\n    at f (/srv/a.js:1:2)\n(node:12) UnhandledPromiseRejectionWarning: Unhandled promise rejection.",
            "1-2 javascript Error \"boom\" [/srv/a.js:1 f] top 0 causes []",
        ),
        (
            "a message longer than a look back",
            "AssertionError [ERR_ASSERTION]: Expected\n+ actual\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n    at f (/srv/a.js:1:2)\nx",
            "1-16 javascript AssertionError \"Expected\\n+ actual\\n1\\n2\\n3\\n4\\n5\\n6\\n7\\n8\\n9\\n10\\n11\\n12\\n13\" [/srv/a.js:1 f] top 0 causes []",
        ),
        (
            "Jest without a type, then the next test",
            "  ● sum › adds\n\n    expect(received).toBe(expected)\n\n    Expected: 2\n\n      3 |\n    > 4 |   x\n        |   ^\n\n      at Object.toBe (sum.test.js:4:5)\n\n  ● sum › b\n\n    TypeError: y\n\n      at f (sum.js:1:2)\n\nTests: 2 failed",
            "1-11 javascript - \"expect(received).toBe(expected)\\n\\nExpected: 2\" [sum.test.js:4 Object.toBe] top 0 causes []\n13-17 javascript TypeError \"y\" [sum.js:1 f] top 0 causes []",
        ),
        (
            "Vitest with code between frames",
            " FAIL  a.test.ts > x\nTypeError: y\n ❯ f src/a.ts:3:4\n      2|\n      3|   g()\n       |   ^\n ❯ a.test.ts:5:6\n\n⎯⎯⎯⎯[1/1]⎯",
            "1-7 typescript TypeError \"y\" [src/a.ts:3 f, a.test.ts:5 -] top 0 causes []",
        ),
        (
            "Next.js with code and digest",
            " ⨯ Error: boom\n    at Page (app/page.tsx:3:9)\n  2 |\n> 3 |   throw x;\n    |         ^\n  4 | } {\n  digest: '2338'\n}\n GET / 500",
            "1-8 typescript Error \"boom\" [app/page.tsx:3 Page] top 0 causes []",
        ),
        (
            "Deno",
            "error: Uncaught (in promise) TypeError: x\n  throw y;\n        ^\n    at f (file:///srv/a.ts:2:9)",
            "1-4 typescript TypeError \"x\" [file:///srv/a.ts:2 f] top 0 causes []",
        ),
        (
            "a thrown object, without and with its stack",
            "\n/srv/a.js:1\nthrow { code: 5 };\n^\n{ code: 5 }\n\nNode.js v20.20.2\n/srv/a.js:1\nthrow 7;\n^\n7\nThrown at:\n    at /srv/a.js:1:1\n    at g (/srv/a.js:3:1)",
            "2-5 javascript - \"{ code: 5 }\" [/srv/a.js:1 -] top 0 causes []\n8-14 javascript - \"7\" [/srv/a.js:1 -, /srv/a.js:3 g] top 0 causes []",
        ),
        (
            "a failed test of Node's runner, with an elided event",
            "✖ adds (1.9ms)\n  AssertionError [ERR_ASSERTION]: no\n  \n      at f (/srv/a.js:1:2)\n  Emitted 'error' event at:\n      at g (/srv/a.js:2:2)\n      [... lines matching original stack trace ...]\n      at h (/srv/a.js:3:2) {\n    code: 'E'\n  }\n\nok",
            "1-10 javascript AssertionError \"no\" [/srv/a.js:1 f, /srv/a.js:2 g, /srv/a.js:3 h] top 0 causes []",
        ),
        (
            "out of heap",
            "<--- Last few GCs --->\n\n[1:0x5]   12 ms: Mark-Compact 2047 (2082) -> 2046 (2082) MB\n\n\n<--- JS stacktrace --->\n\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n----- Native stack trace -----\n\n 1: 0xb8 node::OOMErrorHandler(char const*) [node]\n 2: 0x7f \nAborted",
            "1-12 javascript FATAL ERROR \"Reached heap limit Allocation failed - JavaScript heap out of memory\" [-:0 node::OOMErrorHandler, -:0 -] top - causes []",
        ),
        (
            "two records back to back",
            "2026-01-01 ERROR a: TypeError: x\n    at f (/srv/a.js:1:2)\n2026-01-01 ERROR b: TypeError: y\n    at g (/srv/a.js:2:2)",
            "1-2 javascript TypeError \"x\" [/srv/a.js:1 f] top 0 causes []\n3-4 javascript TypeError \"y\" [/srv/a.js:2 g] top 0 causes []",
        ),
        (
            "a thrown object whose bracket closes lines below, then output",
            "/srv/a.js:1\nthrow {\n^\n{\n  code: 5,\n  list: [\n    1\n  ]\n}\nserver restarted",
            "1-9 javascript - \"{\\n  code: 5,\\n  list: [\\n    1\\n  ]\\n}\" [/srv/a.js:1 -] top 0 causes []",
        ),
        (
            "an event's place above that of the worker's error",
            "node:internal/event_target:1105\n  process.nextTick(() => { throw err; });\n                           ^\n[worker eval]:1\nthrow new RangeError('x')\n^\n\nRangeError: x\n    at [worker eval]:1:7\n    at node:internal/vm:209:10\n\nNode.js v20.20.2",
            "1-10 javascript RangeError \"x\" [[worker eval]:1 -, node:internal/vm:209 -] top 0 causes []",
        ),
        (
            "source maps leave two empty lines",
            "/srv/a.ts:3\n  return x.y.z;\n             ^\n\n\nTypeError: x\n    at inner (/srv/a.ts:3:14)\n    at main (/srv/a.ts:9:3)\n\nNode.js v20.20.2",
            "1-8 typescript TypeError \"x\" [/srv/a.ts:3 inner, /srv/a.ts:9 main] top 0 causes []",
        ),
        (
            "a child's error quoted in the message",
            "node:child_process:966\n    throw err;\n    ^\n\nError: Command failed: node b.js\n/srv/b.js:1\nnull.x\n     ^\n\nTypeError: no\n    at /srv/b.js:1:6\n\nNode.js v20.20.2\n\n    at genericNodeError (node:internal/errors:984:15)\n    at run (/srv/a.js:2:3) {\n  status: 1\n}\n\nNode.js v20.20.2",
            "1-18 javascript Error \"Command failed: node b.js\\n/srv/b.js:1\\nnull.x\\n     ^\\n\\nTypeError: no\" [/srv/b.js:1 -, node:internal/errors:984 genericNodeError, /srv/a.js:2 run] top 0 causes []",
        ),
        (
            "an error without a type below its place",
            "node:internal/process/promises:391\n    triggerUncaughtException(err, true);\n    ^\n\nBuild failed with 1 error:\nbad.js:2:10: Unexpected\n    at build (/srv/vite.mjs:5:2)\n    at main (/srv/run.mjs:7:1)\n\nNode.js v20.20.2",
            "1-8 javascript - \"Build failed with 1 error:\\nbad.js:2:10: Unexpected\" [/srv/vite.mjs:5 build, /srv/run.mjs:7 main] top 0 causes []",
        ),
        (
            "WebAssembly has no code to show",
            "wasm://wasm/0127f252:1\n\n\nRuntimeError: unreachable\n    at wasm://wasm/0127f252:wasm-function[0]:0x20\n    at f (/srv/a.js:1:2)\n\nNode.js v20.20.2",
            "1-6 javascript RuntimeError \"unreachable\" [-:0 -, /srv/a.js:1 f] top 1 causes []",
        ),
        (
            "Deno lists the members of an aggregate ahead of its stack",
            "error: Uncaught (in promise) AggregateError: all failed\n    Error: one\n        at f (file:///srv/a.ts:1:2)\n    TypeError: two\n        at g (file:///srv/a.ts:2:2)\n  throw new AggregateError(x);\n        ^\n    at h (file:///srv/a.ts:3:9)\nbye",
            "1-8 typescript AggregateError \"all failed\" [file:///srv/a.ts:1 f, file:///srv/a.ts:2 g, file:///srv/a.ts:3 h] top 2 causes []",
        ),
        (
            "Bun's code above the head, a cause below",
            "1 | a\n2 | f()\n    ^\nQuotaError: q\n      at f (/srv/a.ts:2:1)\n\n1 | b\n    ^\nTypeError: t\n      at g (/srv/a.ts:1:1)\n\nBun v1.4.5 (Linux x64)",
            "1-10 typescript QuotaError \"q\" [/srv/a.ts:2 f, /srv/a.ts:1 g] top 1 causes [TypeError]",
        ),
        (
            "Bun prints the same error twice",
            "1 | a\n    ^\nTypeError: t\n      at g (/srv/a.ts:1:1)\n\n1 | a\n    ^\nTypeError: t\n      at g (/srv/a.ts:1:1)\n",
            "1-4 typescript TypeError \"t\" [/srv/a.ts:1 g] top 0 causes []\n6-9 typescript TypeError \"t\" [/srv/a.ts:1 g] top 0 causes []",
        ),
        (
            "Firefox",
            "JavaScript error: TypeError: x is undefined\ninner@http://localhost:3000/app.js:3:5\n@http://localhost:3000/:14:3\nnext",
            "1-3 javascript TypeError \"x is undefined\" [http://localhost:3000/app.js:3 inner, http://localhost:3000/:14 -] top 0 causes []",
        ),
        (
            "Jasmine",
            "1) cart sums\n  Message:\n    Expected 1 to be 3.\n  Stack:\n        at <Jasmine>\n        at UserContext.<anonymous> (/srv/spec/x.js:2:5)\n        at <Jasmine>\n\n2 specs",
            "1-7 javascript - \"Expected 1 to be 3.\" [-:0 <Jasmine>, /srv/spec/x.js:2 UserContext.<anonymous>, -:0 <Jasmine>] top 1 causes []",
        ),
        (
            "Playwright",
            "  1) [chromium] › tests/a.spec.ts:5:5 › has total ───────\n\n    Error: no match\n\n      5 | test\n    > 7 |   await x\n        |         ^\n        at /srv/tests/a.spec.ts:7:40\n\n  1 failed",
            "1-8 typescript Error \"no match\" [/srv/tests/a.spec.ts:7 -] top 0 causes []",
        ),
        (
            "tape",
            "not ok 1 equal\n  ---\n    operator: equal\n    expected: 2\n    at: Test.<anonymous> (/srv/x.js:2:23)\n    stack: |-\n      Error: equal\n          at Test.assert (/srv/node_modules/tape/lib/test.js:548:48)\n          at Test.<anonymous> (/srv/x.js:2:23)\n  ...\nok 2 fine",
            "1-10 javascript Error \"equal\" [/srv/node_modules/tape/lib/test.js:548 Test.assert, /srv/x.js:2 Test.<anonymous>] top 1 causes []",
        ),
        (
            "Vitest's TAP",
            "    not ok 3 - type # time=0.98ms\n        ---\n        error:\n            name: \"TypeError\"\n            message: \"no\"\n        at: \"/srv/sum.ts:1:26\"\n        ...\n    ok 4 - logs",
            "1-7 typescript TypeError \"no\" [/srv/sum.ts:1 -] top 0 causes []",
        ),
        (
            "Jest lists the members of an aggregate",
            "  ● sum › agg\n\n    AggregateError: all\n\n      at f (x.test.js:18:27)\n\n    Errors contained in AggregateError:\n        one\n\n        > 18 |   x\n             |   ^\n\n          at g (x.test.js:18:47)\n\n  ● next",
            "1-13 javascript AggregateError \"all\" [x.test.js:18 f, x.test.js:18 g] top 0 causes []",
        ),
        (
            "Node aborts",
            "----- Native stack trace -----\n\n 1: 0xd3a3c0  [node]\n 2: 0xf50b node::Abort() [node]\n\n----- JavaScript stack trace -----\n\n1: abort (/srv/a.js:54:24)\n2: node:internal/main/run_main_module:28:49\n\n\ndone",
            "1-9 javascript - \"\" [-:0 -, -:0 node::Abort, /srv/a.js:54 abort, node:internal/main/run_main_module:28 -] top 2 causes []",
        ),
        (
            "the origin of a frame below it",
            "TypeError: x\n    at f (/srv/dist/a.js:1:2)\n        -> /srv/src/a.ts:3:4\n    at g (/srv/dist/a.js:9:2)\n        -> /srv/src/a.ts:8:1\nbye",
            "1-5 javascript TypeError \"x\" [/srv/dist/a.js:1 f, /srv/src/a.ts:3 f, /srv/dist/a.js:9 g, /srv/src/a.ts:8 g] top 0 causes []",
        ),
    ] {
        assert_eq!(summary(&read_all(&JavaScript, log)), expected, "{name}");
    }
}

#[test]
fn prose_and_lone_frames_are_silent() {
    for log in [
        "src/app.ts:12\nis where it starts",
        "not ok 3 - later # TODO\n  ---\n  error: 'x'\n  ...",
        "not ok 1 - suite\n  ---\n  failureType: 'subtestsFailed'\n  error: '3 subtests failed'\n  ...",
        "mail user@file:22:33\n",
        "  Message:\n  all is well",
        "grep: src/a.js:12\n  x()\n  ^\n",
        "    at f (/srv/a.js:1:2)",
        "see\n    at 10:05 the job was paused\n    at 10:07 disk usage fell (node-3:9100)",
        "TypeError: x is handled\nnext",
        "Trace: here\n    at f (/srv/a.js:1:2)",
        "(node:52) [DEP0005] DeprecationWarning: Buffer() is deprecated\n(Use `node --trace-deprecation ...` to show where)",
        "  ● Console\n\n    console.log\n      x\n\n      at f (a.js:1:2)\n",
        "Exception in thread \"main\" a.B: x\n\tat a.C.d(C.java:1)",
    ] {
        assert_eq!(summary(&read_all(&JavaScript, log)), "", "{log}");
    }
}

#[test]
fn the_corpus_is_read() {
    super::rig::assert_corpus(&JavaScript, &["javascript"], 36);
}
