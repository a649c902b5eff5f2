use super::*;

/// Runs a filter as the kernel would.
fn run(program: &[Instruction], arch: u32, number: u32, arguments: [u64; 2]) -> u32 {
    let (mut at, mut a) = (0, 0u32);
    loop {
        let i = program[at];
        at += 1;
        let either = |yes: bool| usize::from(if yes { i.jump_true } else { i.jump_false });
        match i.code {
            LOAD => {
                a = match i.k {
                    OFFSET_NUMBER => number,
                    OFFSET_ARCH => arch,
                    16 => arguments[0] as u32,
                    20 => (arguments[0] >> 32) as u32,
                    24 => arguments[1] as u32,
                    28 => (arguments[1] >> 32) as u32,
                    other => panic!("load from {other}"),
                }
            }
            AND => a &= i.k,
            JUMP => at += i.k as usize,
            JUMP_IF_EQUAL => at += either(a == i.k),
            JUMP_IF_GREATER => at += either(a > i.k),
            JUMP_IF_AT_LEAST => at += either(a >= i.k),
            RETURN => return i.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn number(name: &str) -> u32 {
    TABLE.iter().find(|(n, _)| *n == name).unwrap().1
}

fn default_filter(capabilities: CapSet) -> Vec<Instruction> {
    filter(&SeccompMode::Default, capabilities).unwrap().unwrap().program
}

fn verdict(capabilities: CapSet, name: &str, argument: u64) -> u32 {
    run(&default_filter(capabilities), AUDIT_ARCH_X86_64, number(name), [argument, 0])
}

#[test]
fn every_name_of_the_default_profile_is_known() {
    let profile = Profile::parse(PROFILE).unwrap();
    for name in profile.syscalls.iter().flat_map(Rule::names) {
        assert!(TABLE.iter().any(|(known, _)| *known == name), "{name}");
    }
}

#[test]
fn every_number_gets_the_verdict_of_the_profile() {
    let profile = Profile::parse(PROFILE).unwrap();
    let filter = default_filter(CapSet::DEFAULT);
    assert!(filter.len() < 1000, "{}", filter.len());
    let allowed: Vec<&str> = profile.syscalls[0].names().collect();
    for &(name, n) in TABLE {
        let expected = match name {
            "clone" | "personality" | "socket" => continue,
            "clone3" | "open_tree_attr" => RET_ERRNO | ENOSYS,
            "chroot" => RET_ALLOW,
            name if allowed.contains(&name) => RET_ALLOW,
            _ => RET_ERRNO | EPERM,
        };
        assert_eq!(run(&filter, AUDIT_ARCH_X86_64, n, [0, 0]), expected, "{name}");
    }
    // Among those the profile knows, a number without a name is refused as any other.
    assert_eq!(run(&filter, AUDIT_ARCH_X86_64, 335, [0, 0]), RET_ERRNO | EPERM);
    for n in [100_000, X32_BIT, X32_BIT + 1, u32::MAX] {
        assert_eq!(run(&filter, AUDIT_ARCH_X86_64, n, [0, 0]), RET_ERRNO | ENOSYS, "{n}");
    }
    assert_eq!(run(&filter, 0x4000_0003, 1, [0, 0]), RET_ERRNO | ENOSYS);
}

#[test]
fn arguments_decide_where_the_profile_says_so() {
    let plain = CapSet::DEFAULT;
    assert_eq!(verdict(plain, "clone", 0x11), RET_ALLOW);
    assert_eq!(verdict(plain, "clone", 0x1000_0000), RET_ERRNO | EPERM);
    for family in 0..64 {
        let expected = if matches!(family, 38 | 40) { RET_ERRNO | EPERM } else { RET_ALLOW };
        assert_eq!(verdict(plain, "socket", family), expected, "{family}");
        // The kernel takes the lower half of it.
        assert_eq!(verdict(plain, "socket", family | 1 << 32), expected, "{family}");
    }
    assert_eq!(verdict(plain, "personality", 8), RET_ALLOW);
    assert_eq!(verdict(plain, "personality", 4), RET_ERRNO | EPERM);
}

#[test]
fn capabilities_open_what_belongs_to_them() {
    let plain = CapSet::DEFAULT;
    assert_eq!(verdict(plain, "chroot", 0), RET_ALLOW);
    assert_eq!(verdict(plain, "mount", 0), RET_ERRNO | EPERM);
    let admin = plain.with("SYS_ADMIN").unwrap();
    for name in ["mount", "clone", "clone3", "unshare", "setns"] {
        assert_eq!(verdict(admin, name, 0x1000_0000), RET_ALLOW, "{name}");
    }
    assert_eq!(verdict(admin, "reboot", 0), RET_ERRNO | EPERM);
}

/// Compiles a profile of one rule for `getpid` and returns the verdict on it.
fn of_rule(rule: &str, arguments: [u64; 2]) -> u32 {
    let text = format!(
        "{{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{{\"names\":[\"getpid\"],{rule}}}]}}"
    );
    let filter = filter(&SeccompMode::Profile(text), CapSet::DEFAULT).unwrap().unwrap();
    run(&filter.program, AUDIT_ARCH_X86_64, number("getpid"), arguments)
}

#[test]
fn every_action_is_the_kernels() {
    for (action, expected) in [
        ("ALLOW", RET_ALLOW),
        ("ERRNO", RET_ERRNO | 5),
        ("TRACE", RET_TRACE | 5),
        ("LOG", RET_LOG),
        ("TRAP", RET_TRAP),
        ("KILL", RET_KILL_THREAD),
        ("KILL_THREAD", RET_KILL_THREAD),
        ("KILL_PROCESS", RET_KILL_PROCESS),
    ] {
        let rule = format!("\"action\":\"SCMP_ACT_{action}\",\"errnoRet\":5");
        assert_eq!(of_rule(&rule, [0, 0]), expected, "{action}");
    }
    assert_eq!(of_rule("\"action\":\"SCMP_ACT_ERRNO\"", [0, 0]), RET_ERRNO | EPERM);
}

#[test]
fn every_comparison_is_over_64_bits() {
    const BIG: u64 = 0x5_0000_0005;
    let holds = |op: &str, value: u64, two: u64, argument: u64| {
        let rule = format!(
            "\"action\":\"SCMP_ACT_KILL\",\"args\":[{{\"index\":1,\"value\":{value},\
             \"valueTwo\":{two},\"op\":\"SCMP_CMP_{op}\"}}]"
        );
        of_rule(&rule, [0, argument]) == RET_KILL_THREAD
    };
    for other in [0, 4, 5, 6, BIG - 1, BIG, BIG + 1, 0x4_ffff_ffff, 0x6_0000_0000, u64::MAX] {
        assert_eq!(holds("EQ", BIG, 0, other), other == BIG, "{other:#x}");
        assert_eq!(holds("NE", BIG, 0, other), other != BIG, "{other:#x}");
        assert_eq!(holds("LT", BIG, 0, other), other < BIG, "{other:#x}");
        assert_eq!(holds("LE", BIG, 0, other), other <= BIG, "{other:#x}");
        assert_eq!(holds("GT", BIG, 0, other), other > BIG, "{other:#x}");
        assert_eq!(holds("GE", BIG, 0, other), other >= BIG, "{other:#x}");
        let masked = other & 0x4_0000_0004 == 0x4_0000_0004;
        assert_eq!(holds("MASKED_EQ", 0x4_0000_0004, 0x4_0000_0004, other), masked, "{other:#x}");
        assert_eq!(holds("MASKED_EQ", 0xf, 5, other), other & 0xf == 5, "{other:#x}");
    }
}

#[test]
fn arguments_of_a_rule_hold_together_and_one_twice_is_either() {
    let rule = |second: u32| {
        format!(
            "\"action\":\"SCMP_ACT_KILL\",\"args\":[{{\"index\":0,\"value\":1,\
             \"op\":\"SCMP_CMP_EQ\"}},{{\"index\":{second},\"value\":2,\"op\":\"SCMP_CMP_EQ\"}}]"
        )
    };
    assert_eq!(of_rule(&rule(1), [1, 2]), RET_KILL_THREAD);
    assert_eq!(of_rule(&rule(1), [1, 3]), RET_ALLOW);
    assert_eq!(of_rule(&rule(1), [0, 2]), RET_ALLOW);
    assert_eq!(of_rule(&rule(0), [1, 0]), RET_KILL_THREAD);
    assert_eq!(of_rule(&rule(0), [2, 0]), RET_KILL_THREAD);
    assert_eq!(of_rule(&rule(0), [3, 0]), RET_ALLOW);
}

#[test]
fn rules_apply_where_they_say() {
    let kill = "\"action\":\"SCMP_ACT_KILL\"";
    for (place, applies) in [
        ("\"includes\":{\"caps\":[\"CAP_CHOWN\"]}", true),
        ("\"includes\":{\"caps\":[\"CAP_CHOWN\",\"CAP_SYS_ADMIN\"]}", false),
        ("\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\",\"CAP_CHOWN\"]}", false),
        ("\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}", true),
        ("\"includes\":{\"arches\":[\"arm64\",\"amd64\"]}", true),
        ("\"includes\":{\"arches\":[\"s390\"]}", false),
        ("\"excludes\":{\"arches\":[\"amd64\"]}", false),
        ("\"includes\":{\"minKernel\":\"4.8\"}", true),
        ("\"includes\":{\"minKernel\":\"99.0\"}", false),
        ("\"excludes\":{\"minKernel\":\"4.8\"}", false),
        ("\"includes\":null,\"excludes\":{\"caps\":null},\"args\":null", true),
    ] {
        let killed = of_rule(&format!("{kill},{place}"), [0, 0]) == RET_KILL_THREAD;
        assert_eq!(killed, applies, "{place}");
    }
}

#[test]
fn what_is_no_profile_is_refused() {
    let refused = |text: &str| {
        filter(&SeccompMode::Profile(text.to_owned()), CapSet::DEFAULT).unwrap_err().to_string()
    };
    assert!(refused("{").starts_with("Decoding seccomp profile failed: "));
    assert!(refused("{\"defaultAction\":\"SCMP_ACT_NOPE\"}").contains("SCMP_ACT_NOPE"));
    assert!(refused("{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}").contains("SCMP_ACT_NOTIFY"));
    assert!(refused("{\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\"}]}").contains("defaultAction"));
    assert!(
        refused("{\"defaultAction\":\"SCMP_ACT_LOG\",\"architectures\":[\"a\"],\"archMap\":[{}]}")
            .contains("archMap")
    );
    // Nothing at all is no filter, as docker has it.
    let empty = SeccompMode::Profile("{}".to_owned());
    assert!(filter(&empty, CapSet::DEFAULT).unwrap().is_none());
}
