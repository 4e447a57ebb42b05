//! Whole reports of native programs, as their tools print them.

use super::cpp::Cpp;
use super::rig::{read_all, summary};

#[test]
fn reports_are_read_whole() {
    for (name, log, expected) in [
        (
            "a pure virtual call",
            "up\npure virtual method called\nterminate called without an active exception\nAborted",
            "2-3 cpp - \"pure virtual method called\" [] top - causes []",
        ),
        (
            "gdb, with variables",
            "x\nThread 2 \"w\" received signal SIGSEGV, Segmentation fault.\n0x0000 in f (p=0x0) at a.cpp:39\n39\t  *p = 1;\n#0  0x0000 in f (p=0x0) at a.cpp:39\n        n = 3\n#1  0x0001 in main () at a.cpp:44\nNo locals.\n#2  0x0002 in ?? () from /lib/libc.so.6\nquit",
            "2-9 cpp SIGSEGV \"Segmentation fault\" [a.cpp:39 f, a.cpp:44 main, -:0 -] top 0 causes []",
        ),
        (
            "a person who stops a program in gdb",
            "Program received signal SIGINT, Interrupt.\n#0  0x0000 in main () at a.cpp:39\n#1  0x0001 in x () at a.cpp:1",
            "",
        ),
        (
            "backtrace_symbols below a handler's words",
            "Error: signal 11:\n./prog(_Z4loadv+0x1a)[0x5581]\n./prog(main+0x2f)[0x5592]\n/lib/libc.so.6(+0x2724a)[0x7f41]\nok",
            "1-4 cpp signal 11 \"Error: signal 11:\" [-:0 _Z4loadv, -:0 main, -:0 -] top 0 causes []",
        ),
        (
            "Open MPI among its neighbours",
            "[n1:29] *** Process received signal ***\n[n1:29] Signal: Segmentation fault (11)\nrank 1 step 4\n[n1:29] [ 0] /lib/libc.so.6(+0x3c)[0x7f]\n[n1:29] [ 1] ./sim(step+0x12)[0x56]\n[n1:29] *** End of error message ***\nok",
            "1-6 cpp Segmentation fault \"Signal: Segmentation fault (11)\" [-:0 -, -:0 step] top 1 causes []",
        ),
        (
            "MPI's own errors",
            "[n1:29] *** An error occurred in MPI_Send\n[n1:29] *** reported by process [5,1]\n[n1:29] *** on communicator MPI_COMM_WORLD\n[n1:29] *** MPI_ERR_RANK: invalid rank\n[n1:29] *** MPI_ERRORS_ARE_FATAL (processes will now abort,\n[n1:29] ***    and potentially your MPI job)\nok",
            "1-6 cpp MPI_ERR_RANK \"invalid rank\" [] top - causes []",
        ),
        (
            "MPICH",
            "Abort(671) on node 1 (rank 1 in comm 0): Fatal error in PMPI_Send: Invalid rank, error stack:\nPMPI_Send(157): MPI_Send(dest=99) failed\nPMPI_Send(93).: Invalid rank has value 99\n=====",
            "1-3 cpp Fatal error in PMPI_Send \"Invalid rank\" [-:0 PMPI_Send, -:0 PMPI_Send] top - causes []",
        ),
        (
            "glog",
            "F1121 10:00:00.123456  4711 queue.cc:12] Check failed: n == 3 (2 vs. 3) depth\nof q\n*** Check failure stack trace: ***\n    @     0x7f41  google::LogMessage::Fail()\n    @     0x55f2a07352d3  inner()\nAborted",
            "1-5 cpp - \"Check failed: n == 3 (2 vs. 3) depth\\nof q\" [queue.cc:12 -, -:0 google::LogMessage::Fail(), -:0 inner()] top 0 causes []",
        ),
        (
            "a handler of glog",
            "*** Aborted at 1795277880 (unix time) try \"date -d @1795277880\" ***\nPC: @                0x0 (unknown)\n*** SIGSEGV (@0x0) received by PID 29; stack trace: ***\n    @     0x7fe2 (unknown)\n    @     0x55c3 load()\nSegmentation fault",
            "1-5 cpp SIGSEGV \"*** SIGSEGV (@0x0) received by PID 29; stack trace: ***\" [-:0 -, -:0 -, -:0 load()] top 2 causes []",
        ),
        (
            "a handler of Abseil",
            "*** SIGABRT received at time=1763719200 on cpu 3 ***\nPC: @     0x7f1c2ba969fc  (unknown)  pthread_kill\n    @     0x55c38a3e23a6         32  serving::Load()\nAborted",
            "1-3 cpp SIGABRT \"*** SIGABRT received at time=1763719200 on cpu 3 ***\" [-:0 pthread_kill, -:0 serving::Load()] top 1 causes []",
        ),
        (
            "a fatal record of TensorFlow",
            "2026-11-21 10:00:00.123456: F tensorflow/core/tensor.cc:733] Check failed: 1 == n\nAborted",
            "1-1 cpp - \"Check failed: 1 == n\" [tensorflow/core/tensor.cc:733 -] top 0 causes []",
        ),
        (
            "Fortran",
            "At line 9 of file f.f90\nFortran runtime error: Index '11' above upper bound of 10\n\nError termination. Backtrace:\n#0  0x7f33 in ???\n#1  0x560b in step\n\tat /srv/f.f90:9\n#2  0x560c in main\n\tat /srv/f.f90:20\nok",
            "1-9 cpp Fortran runtime error \"Index '11' above upper bound of 10\" [f.f90:9 -, -:0 -, /srv/f.f90:9 step, /srv/f.f90:20 main] top 0 causes []",
        ),
        (
            "Fortran stops",
            "ERROR STOP model diverged\n\nError termination. Backtrace:\n#0  0x7f33 in ???\n#1  0x560b in step\n\tat /srv/f.f90:15\nok",
            "1-6 cpp ERROR STOP \"model diverged\" [-:0 -, /srv/f.f90:15 step] top 1 causes []",
        ),
        (
            "Intel's Fortran",
            "forrtl: severe (174): SIGSEGV, segmentation fault occurred\nImage              PC                Routine            Line        Source\nmodel.x            0000000000402B9A  step_                     142  dyn.f90\nlibc.so            00007F3AD1A6B083  __libc_start_main     Unknown  Unknown\nsrun: x",
            "1-4 cpp forrtl: severe (174) \"SIGSEGV, segmentation fault occurred\" [dyn.f90:142 step_, -:0 __libc_start_main] top 0 causes []",
        ),
        (
            "Boost.Stacktrace",
            "fatal: queue is gone\n 0# inner() at /srv/a.cc:5\n 1# main at /srv/a.cc:6\n 2# _start in ./a\nok",
            "1-4 cpp - \"fatal: queue is gone\" [/srv/a.cc:5 inner(), /srv/a.cc:6 main, -:0 _start] top 0 causes []",
        ),
        (
            "backward-cpp",
            "Stack trace (most recent call last):\n#2    Source \"/srv/main.cpp\", line 21, in main [0x55d0]\n         18: int main() {\n      >  21:   idx.load();\n#1    Source \"/srv/index.cpp\", line 9, in Index::load() [0x55d0]\n      >   9:   *p = 1;\nSegmentation fault (Address not mapped to object [(nil)])\nok",
            "1-7 cpp Segmentation fault \"Segmentation fault (Address not mapped to object [(nil)])\" [/srv/main.cpp:21 main, /srv/index.cpp:9 Index::load()] top 1 causes []",
        ),
        (
            "clang",
            "PLEASE submit a bug report to https://x/ and include the backtrace.\nStack dump:\n0.\tProgram arguments: clang -c a.cpp\n #0 0x0001 llvm::sys::PrintStackTrace(int) (/usr/lib/libLLVM.so+0xe3)\n #1 0x0002 (/lib/libc.so.6+0x3c)\n #2 0x0003 clang::f(int) /srv/Sema.cpp:12:3\nclang: error: frontend command failed",
            "1-6 cpp - \"PLEASE submit a bug report to https://x/ and include the backtrace.\" [-:0 llvm::sys::PrintStackTrace(int), -:0 -, /srv/Sema.cpp:12 clang::f(int)] top 2 causes []",
        ),
        (
            "an exception of PyTorch",
            "terminate called after throwing an instance of 'c10::DistBackendError'\n  what():  CUDA error: illegal access\nFor debugging consider x\n\nException raised from f at ../x.cpp:43 (most recent call first):\nframe #0: c10::Error::Error(int) + 0x96 (0x7f in /opt/libc10.so)\nframe #1: clone + 0x3f (0x7f in /lib/libc.so.6)\n\nok",
            "1-7 cpp c10::DistBackendError \"CUDA error: illegal access\\nFor debugging consider x\\n\\nException raised from f at ../x.cpp:43 (most recent call first):\" [-:0 c10::Error::Error(int), -:0 clone] top - causes []",
        ),
        (
            "an old C library",
            "*** Error in `./w': double free or corruption (fasttop): 0x01c5 ***\n======= Backtrace: =========\n/lib64/libc.so.6(+0x7c)[0x7f]\n./w(release+0x1f)[0x40]\n======= Memory map: ========\n00400000-00401000 r-xp 00000000 08:01 12  /srv/w\nok",
            "1-6 cpp - \"double free or corruption (fasttop)\" [-:0 -, -:0 release] top 1 causes []",
        ),
        (
            "a core dump in the journal",
            "Process 4700 (worker) of user 1000 dumped core.\n\nStack trace of thread 4700:\n#0  0x0001 run_job (worker + 0x117b)\n#1  0x0002 n/a (libc.so.6 + 0x29)\nok",
            "1-5 cpp - \"Process 4700 (worker) of user 1000 dumped core.\" [-:0 run_job, -:0 -] top 0 causes []",
        ),
        (
            "GoogleTest",
            "[ RUN      ] Cart.Wrong\na.cc:6: Failure\nExpected equality of these values:\n  add(1, 2)\n    Which is: 3\n  4\na.cc:7: Failure\nValue of: x\n[  FAILED  ] Cart.Wrong (0 ms)\nunknown file: Failure\nC++ exception with description \"in test\" thrown in the test body.\n[  FAILED  ] Cart.Throws",
            "2-6 cpp - \"Expected equality of these values:\\n  add(1, 2)\\n    Which is: 3\\n  4\" [a.cc:6 -] top 0 causes []\n7-8 cpp - \"Value of: x\" [a.cc:7 -] top 0 causes []\n10-11 cpp - \"in test\" [] top - causes []",
        ),
        (
            "Catch2",
            "-----------------------------\nwrong\n-----------------------------\na.cc:3\n.............................\n\na.cc:6: FAILED:\n  REQUIRE( add(1, 2) == 4 )\nwith expansion:\n  3 == 4\n\n=============================",
            "7-10 cpp - \"REQUIRE( add(1, 2) == 4 )\\n3 == 4\" [a.cc:6 -] top 0 causes []",
        ),
        (
            "doctest",
            "a.cc:6: ERROR: CHECK( add(1, 2) == 4 ) is NOT correct!\n  values: CHECK( 3 == 4 )\n\na.cc:7: ERROR: test case THREW exception: in test\n",
            "1-2 cpp - \"CHECK( add(1, 2) == 4 ) is NOT correct!\\nvalues: CHECK( 3 == 4 )\" [a.cc:6 -] top 0 causes []\n4-4 cpp - \"test case THREW exception: in test\" [a.cc:7 -] top 0 causes []",
        ),
        (
            "Boost.Test",
            "a.cc(6): error: in \"wrong\": check x == 4 has failed [3 != 4]\nunknown location(0): fatal error: in \"throws\": std::runtime_error: in test\na.cc(7): last checkpoint: \"throws\" test entry\n\n*** 2 failures",
            "1-1 cpp - \"check x == 4 has failed [3 != 4]\" [a.cc:6 -] top 0 causes []\n2-3 cpp std::runtime_error \"in test\" [] top - causes []",
        ),
        (
            "helgrind",
            "==7== ---Thread-Announcement------\n==7== \n==7== Thread #3 was created\n==7==    at 0x4BA8: clone (clone.S:76)\n==7==    by 0x10BC: main (a.cpp:43)\n==7== \n==7== ------------------------\n==7== \n==7== Possible data race during read of size 4 at 0x11 by thread #3\n==7== Locks held: none\n==7==    at 0x10B5: worker(int) (a.cpp:23)\n==7== \n==7== This conflicts with a previous write of size 4 by thread #2\n==7==    at 0x10B6: worker(int) (a.cpp:24)\n==7==  Address 0x11 is 0 bytes inside x\n==7== \n==7== ------------------------\n==7== \n==7== Possible data race during write of size 4 at 0x11 by thread #3\n==7==    at 0x10B7: worker(int) (a.cpp:25)\n==7== \nok",
            "1-15 cpp - \"Possible data race during read of size 4 at 0x11 by thread #3\" [clone.S:76 clone, a.cpp:43 main, a.cpp:23 worker(int), a.cpp:24 worker(int)] top 2 causes []\n19-20 cpp - \"Possible data race during write of size 4 at 0x11 by thread #3\" [a.cpp:25 worker(int)] top 0 causes []",
        ),
        (
            "a sanitizer that only describes",
            "==78==ERROR: AddressSanitizer: attempting free on address which was not malloc()-ed: 0x60 in thread T0\n    #0 0x7f in __interceptor_free ../libsanitizer/asan.cpp:52\n    #1 0x55 in main /srv/a.cpp:37\n\nSUMMARY: AddressSanitizer: bad-free ../libsanitizer/asan.cpp:52 in __interceptor_free\n==78==ABORTING\nok",
            "1-6 cpp bad-free \"AddressSanitizer: attempting free on address which was not malloc()-ed: 0x60 in thread T0\" [../libsanitizer/asan.cpp:52 __interceptor_free, /srv/a.cpp:37 main] top 1 causes []",
        ),
    ] {
        assert_eq!(summary(&read_all(&Cpp, log)), expected, "{name}");
    }
}

#[test]
fn healthy_lines_are_silent() {
    for log in [
        "see a.cc:12: Failure is no option",
        "2026-11-21 10:00:12: Failure",
        "step 3:12: FAILED:",
        "#0 of the list\n#1 of the list",
        "Backtrace:\nnone",
        "I1121 10:00:00.123456  4711 queue.cc:12] ready",
        "W1121 10:00:00.123456  4711 queue.cc:12] Check failed twice",
        "* F keys: F1 help",
        "docs/a.rst:12: ERROR: Unknown directive",
        "0# of flour",
        "[n1:29] *** Process was moved",
        "Thread #3 was created\nThread #4 was created",
    ] {
        assert_eq!(summary(&read_all(&Cpp, log)), "", "{log}");
    }
}
