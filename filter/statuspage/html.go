// Code generated from page.html by go generate. DO NOT EDIT.

package statuspage

const html = "" +
	"<!doctype html>\n" +
	"<html lang=\"en\">\n" +
	"<head>\n" +
	"<meta charset=\"utf-8\">\n" +
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n" +
	"<title>Circuit breakers</title>\n" +
	"<link rel=\"icon\" href=\"data:,\">\n" +
	"<style>\n" +
	":root {\n" +
	"  color-scheme: light dark;\n" +
	"  --text: #1f2328; --soft: #59636e; --page: #f3f5f7; --card: #fff; --line: #d8dee4; --track: #e4e8ec; --bar: #6e7781;\n" +
	"  --closed: #116329; --closed-tint: #dafbe1; --half: #7a4b00; --half-tint: #fff1c2; --open: #a40e26; --open-tint: #ffe3e0;\n" +
	"  --warn: #d4a72c; --alarm: #cf222e;\n" +
	"}\n" +
	"@media (prefers-color-scheme: dark) {\n" +
	"  :root {\n" +
	"    --text: #e6edf3; --soft: #9aa4ae; --page: #0d1117; --card: #161b22; --line: #2d333b; --track: #2d333b; --bar: #8b949e;\n" +
	"    --closed: #56d364; --closed-tint: #12301c; --half: #e9b949; --half-tint: #352804; --open: #ff9a92; --open-tint: #481c1f;\n" +
	"    --warn: #bb8009; --alarm: #da3633;\n" +
	"  }\n" +
	"}\n" +
	".closed { --state: var(--closed); --tint: var(--closed-tint); --edge: var(--line); }\n" +
	".half_open { --state: var(--half); --tint: var(--half-tint); --edge: var(--warn); }\n" +
	".open, .forced_open { --state: var(--open); --tint: var(--open-tint); --edge: var(--alarm); }\n" +
	".disabled { --state: var(--soft); --tint: var(--track); --edge: var(--line); }\n" +
	"\n" +
	"* { box-sizing: border-box; }\n" +
	"body { margin: 0 auto; max-width: 90rem; padding: 1.25rem 1rem 2rem; font: 1rem/1.4 system-ui, sans-serif; color: var(--text); background: var(--page); }\n" +
	"h1, h2, p, dl, dd, ol { margin: 0; padding: 0; }\n" +
	"\n" +
	"header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin-bottom: 1rem; }\n" +
	"h1 { font-size: 1.4rem; line-height: 1.2; }\n" +
	"#counts { display: flex; flex-wrap: wrap; gap: .4rem; }\n" +
	"#now { overflow-wrap: anywhere; font-size: .85rem; color: var(--soft); font-variant-numeric: tabular-nums; }\n" +
	".pill { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; font-size: .85rem; font-weight: 600; white-space: nowrap; color: var(--state); background: var(--tint); }\n" +
	".mode { border: 1px solid var(--line); color: var(--soft); background: none; }\n" +
	"\n" +
	"#nav, #unmatched { font-size: .85rem; color: var(--soft); }\n" +
	"#nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }\n" +
	"#nav:not(:empty), #unmatched:not(:empty) { margin-bottom: .75rem; overflow-wrap: anywhere; }\n" +
	"#trouble:not(:empty), #invalid:not(:empty) { margin-bottom: .75rem; overflow-wrap: anywhere; }\n" +
	"#invalid:not(:empty) { padding: .75rem 1rem; color: var(--open); background: var(--open-tint); border: 1px solid var(--alarm); border-radius: .5rem; }\n" +
	"a { color: inherit; }\n" +
	"\n" +
	"main { display: grid; gap: .6rem; }\n" +
	"section { display: grid; gap: .6rem 1.5rem; grid-template-columns: 1fr auto; align-items: start; padding: .75rem 1rem; background: var(--card); border: 1px solid var(--line); border-left: .35rem solid var(--edge); border-radius: .5rem; }\n" +
	"h2 { font-size: 1.05rem; line-height: 1.4; overflow-wrap: anywhere; }\n" +
	"h2 small { display: block; font-size: .9rem; font-weight: 400; color: var(--soft); }\n" +
	"b { font-weight: 600; color: var(--text); }\n" +
	"#unmatched b { font-weight: 400; }\n" +
	"\n" +
	"dl { grid-column: 1 / -1; display: grid; gap: .6rem .75rem; grid-template-columns: repeat(3, minmax(0, 1fr)); }\n" +
	"dl:has(> :nth-child(4)) { grid-template-columns: repeat(2, minmax(0, 1fr)); }\n" +
	"dt, .note { font-size: .8rem; line-height: 1.3; color: var(--soft); }\n" +
	"dd { font-size: 1.1rem; line-height: 1.35; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }\n" +
	".note { display: block; overflow-wrap: normal; }\n" +
	".bar { position: relative; display: block; max-width: 8rem; height: .35rem; margin: .2rem 0 .3rem; border-radius: .2rem; background: var(--track); }\n" +
	".bar::before { content: \"\"; position: absolute; inset: 0 auto 0 0; width: calc(var(--value) * 1%); border-radius: inherit; background: var(--bar); }\n" +
	".near::before { background: var(--warn); }\n" +
	".over::before { background: var(--alarm); }\n" +
	".bar[style*=\"--limit\"]::after { content: \"\"; position: absolute; inset: -.15rem auto -.15rem calc(var(--limit) * 1% - 1px); width: 2px; background: var(--text); }\n" +
	"\n" +
	"ol { grid-column: 1 / -1; list-style: none; font-size: .85rem; line-height: 1.35; color: var(--soft); display: grid; gap: .4rem; }\n" +
	"li { display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between; }\n" +
	"li b { white-space: nowrap; }\n" +
	"li span { flex-basis: 100%; grid-column: 1 / -1; overflow-wrap: anywhere; }\n" +
	"time { font-variant-numeric: tabular-nums; white-space: nowrap; }\n" +
	"footer { margin-top: 1rem; font-size: .8rem; color: var(--soft); }\n" +
	".empty, #trouble:not(:empty), noscript p { padding: 1.5rem 1rem; text-align: center; color: var(--soft); background: var(--card); border: 1px dashed var(--line); border-radius: .5rem; }\n" +
	"\n" +
	"@media (min-width: 48rem) {\n" +
	"  #now { margin-left: auto; }\n" +
	"  section { grid-template-columns: 7.5rem 1fr 25rem; }\n" +
	"  .states { order: -1; }\n" +
	"  dl, dl:has(> :nth-child(4)) { grid-column: auto; grid-template-columns: repeat(4, minmax(0, 1fr)); }\n" +
	"  .last { grid-column: 4; }\n" +
	"  ol { grid-column: 2 / -1; }\n" +
	"  li { display: grid; grid-template-columns: 9.5rem 11rem 1fr; }\n" +
	"  li span { grid-column: auto; }\n" +
	"}\n" +
	"@media (min-width: 80rem) {\n" +
	"  section { grid-template-columns: 7.5rem 16rem 25rem 1fr; }\n" +
	"  ol { grid-column: auto; }\n" +
	"  li { grid-template-columns: 9.5rem 1fr; }\n" +
	"  li span { grid-column: 1 / -1; }\n" +
	"}\n" +
	"</style>\n" +
	"</head>\n" +
	"<body>\n" +
	"<header><h1>Circuit breakers</h1><p id=\"counts\"></p><p id=\"now\"></p></header>\n" +
	"<noscript><p>This page is drawn by its script, and scripts are off. The same is at this address as JSON, for requests with the header accept: application/json.</p></noscript>\n" +
	"<p id=\"trouble\" role=\"alert\"></p>\n" +
	"<p id=\"invalid\" role=\"alert\"></p>\n" +
	"<nav id=\"nav\"></nav>\n" +
	"<p id=\"unmatched\"></p>\n" +
	"<main id=\"clusters\"></main>\n" +
	"<footer>Refreshes every 2 seconds. Nothing on this page changes anything.</footer>\n" +
	"<script>\n" +
	"\"use strict\";\n" +
	"const shownStates = [ // in the order of the page: first what somebody may have to look after\n" +
	"  [\"open\", \"open\", \"d1242f\"], [\"forced_open\", \"forced open\", \"d1242f\"], [\"half_open\", \"half-open\", \"bf8700\"],\n" +
	"  [\"closed\", \"closed\", \"1f883d\"], [\"disabled\", \"disabled\", \"818b98\"],\n" +
	"];\n" +
	"\n" +
	"// make makes an element; its contents are text and elements, never markup.\n" +
	"function make(tag, attributes, ...contents) {\n" +
	"  const e = document.createElement(tag);\n" +
	"  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);\n" +
	"  e.append(...contents.filter(c => c));\n" +
	"  return e;\n" +
	"}\n" +
	"\n" +
	"// put gives an element its contents. What is there already stays: so do the focus, what is selected, and where a reader is.\n" +
	"const put = (id, ...contents) => become(document.getElementById(id), make(\"p\", {}, ...contents));\n" +
	"function become(e, other) {\n" +
	"  const there = [...e.childNodes], all = [...other.childNodes];\n" +
	"  all.forEach((c, i) => {\n" +
	"    const old = there[i];\n" +
	"    if (!old) e.append(c);\n" +
	"    else if (old.nodeType == 1 && old.nodeName == c.nodeName && attributes(old) == attributes(c)) become(old, c);\n" +
	"    else if (!old.isEqualNode(c)) old.replaceWith(c);\n" +
	"  });\n" +
	"  there.slice(all.length).forEach(c => c.remove());\n" +
	"}\n" +
	"const attributes = e => [...e.attributes].map(a => a.name + \"=\" + a.value).join();\n" +
	"\n" +
	"const grouped = n => n.toLocaleString(\"en-US\");\n" +
	"const short = n => String(Number(n.toPrecision(4)));\n" +
	"\n" +
	"// seconds writes a length of time: with a tenth below ten seconds, where it is short. Number and unit stay on one line.\n" +
	"function seconds(s) {\n" +
	"  if (s > 0 && s < 1) return Math.round(s * 1000) + \"\\u00a0ms\";\n" +
	"  if (s < 10) return Number(s.toPrecision(2)) + \"\\u00a0s\";\n" +
	"  if (s < 120) return Math.round(s) + \"\\u00a0s\";\n" +
	"  return s < 7200 ? Math.round(s / 60) + \"\\u00a0min\" : Math.round(s / 3600) + \"\\u00a0h\";\n" +
	"}\n" +
	"function ago(s) {\n" +
	"  if (s < 60) return Math.max(0, Math.floor(s)) + \" s ago\";\n" +
	"  if (s < 3600) return Math.floor(s / 60) + \" min ago\";\n" +
	"  return s < 48 * 3600 ? Math.floor(s / 3600) + \" h ago\" : Math.floor(s / 86400) + \" days ago\";\n" +
	"}\n" +
	"const utc = t => t.toUTCString().slice(5, 25).replace(/^0/, \"\");\n" +
	"\n" +
	"// breakable lets a long name break where one would break it.\n" +
	"const breakable = name => name.split(/(?<=[.|/])/).flatMap((part, i) => i ? [make(\"wbr\", {}), part] : [part]);\n" +
	"const bold = name => make(\"b\", {}, ...breakable(name));\n" +
	"\n" +
	"const pair = (name, value, note, ...more) => [make(\"dt\", {}, name), make(\"dd\", {}, value, ...more, note && make(\"span\", {class: \"note\"}, note))];\n" +
	"const entry = (...args) => make(\"div\", {}, ...pair(...args));\n" +
	"\n" +
	"// rate shows a rate beside the one that opens the breaker; a limit of 0 is none.\n" +
	"function rate(name, percent, note, limit) {\n" +
	"  const bar = make(\"span\", {class: \"bar\" + (!limit ? \"\" : percent >= limit ? \" over\" : percent >= limit / 2 ? \" near\" : \"\")});\n" +
	"  bar.style.setProperty(\"--value\", percent.toFixed(1));\n" +
	"  if (limit) bar.style.setProperty(\"--limit\", short(limit));\n" +
	"  return entry(name, percent.toFixed(1) + \"%\", note + (limit ? `opens at ${short(limit)}%` : \"opens no breaker\"), bar);\n" +
	"}\n" +
	"\n" +
	"// figures are what there is to say of a breaker in its state.\n" +
	"function figures(c) {\n" +
	"  const p = c.policy;\n" +
	"  if (c.state == \"open\" && c.probing) return [\n" +
	"    entry(\"Next probe\", c.next_probe_seconds ? \"in\\u00a0\" + seconds(c.next_probe_seconds) : \"now\", c.successes ? `${c.successes} good of ${p.half_open_success_threshold}` : \"\"),\n" +
	"    entry(\"Requests wait\", c.next_try_seconds ? seconds(c.next_try_seconds) : \"no more\", \"at most, while probes fail\"),\n" +
	"    entry(\"Trips in a row\", grouped(c.trips)),\n" +
	"  ];\n" +
	"  if (c.state == \"open\") return [\n" +
	"    entry(\"Next try\", c.next_try_seconds ? \"in\\u00a0\" + seconds(c.next_try_seconds) : \"now\"), // now: the next request is the first trial\n" +
	"    entry(\"Trips in a row\", grouped(c.trips)),\n" +
	"  ];\n" +
	"  if (c.state == \"half_open\") return [\n" +
	"    entry(\"Good trials\", grouped(c.successes), `of ${p.half_open_success_threshold} to close`),\n" +
	"    entry(\"Trials in flight\", grouped(c.trials_in_flight), `of ${p.half_open_max_requests} at once`),\n" +
	"  ];\n" +
	"  if (c.state != \"closed\") return [];\n" +
	"  let calls = p.window_requests ? \"of the last \" + grouped(p.window_requests) : \"in \" + seconds(p.window_seconds);\n" +
	"  if ((p.failure_rate || p.slow_call_seconds) && c.calls < p.min_requests) calls += \", judged from \" + grouped(p.min_requests);\n" +
	"  const all = [entry(\"Calls\", grouped(c.calls), calls), rate(\"Failed\", c.failure_rate, \"\", p.failure_rate)];\n" +
	"  if (p.slow_call_seconds) all.push(rate(\"Slow\", c.slow_rate, `over ${seconds(p.slow_call_seconds)}, `, p.slow_call_rate));\n" +
	"  return all;\n" +
	"}\n" +
	"\n" +
	"// line shows a transition, which a log line tells as \"from -> to: why\".\n" +
	"function line(t, now) {\n" +
	"  const [, change, why] = t.text.match(/^(.*?)(?:: ([^]*))?$/s), at = new Date(t.at);\n" +
	"  const when = at.toISOString().slice(0, 10) == now.toISOString().slice(0, 10) ? at.toISOString().slice(11, 19) : utc(at).replace(/ \\d{4} (.*):\\d\\d$/, \" $1\");\n" +
	"  return make(\"li\", {}, make(\"b\", {}, change.replaceAll(\"->\", \"→\").replaceAll(\"_\", \"-\")),\n" +
	"    make(\"time\", {datetime: t.at}, `${when}, ${ago((now - at) / 1000)}`),\n" +
	"    make(\"span\", {}, (why || \"\").replaceAll(\"h0m0s\", \"h\").replaceAll(\"m0s\", \"m\"))); // in durations\n" +
	"}\n" +
	"\n" +
	"function section(c, text, now) {\n" +
	"  const states = make(\"div\", {class: \"states\"}, make(\"span\", {class: \"pill\"}, text[0].toUpperCase() + text.slice(1)));\n" +
	"  if (c.policy.mode == \"shadow\") states.append(\" \", make(\"span\", {class: \"pill mode\"}, \"shadow\"));\n" +
	"  const dl = make(\"dl\", {}, ...figures(c));\n" +
	"  if (c.state != \"disabled\") {\n" +
	"    const others = [c.fallback && grouped(c.fallback) + \" to the fallback\", c.shadow_rejected && grouped(c.shadow_rejected) + \" would be\"];\n" +
	"    dl.append(make(\"div\", {class: \"last\"}, ...pair(\"Rejected\", grouped(c.rejected), others.filter(o => o).join(\", \"))));\n" +
	"  }\n" +
	"  const all = make(\"section\", {class: c.state}, make(\"h2\", {}, ...breakable(c.cluster), c.route && make(\"small\", {}, \"route \", bold(c.route))), states, dl);\n" +
	"  if (c.transitions.length) all.append(make(\"ol\", {}, ...c.transitions.map(t => line(t, now))));\n" +
	"  return all;\n" +
	"}\n" +
	"\n" +
	"function draw(data) {\n" +
	"  const now = new Date(data.at), sections = [], pills = [], counts = [];\n" +
	"  let icon;\n" +
	"  for (const [state, text, color] of shownStates) {\n" +
	"    const these = data.clusters.filter(c => c.state == state);\n" +
	"    if (!these.length) continue;\n" +
	"    icon ||= color;\n" +
	"    counts.push(`${these.length} ${text}`);\n" +
	"    pills.push(make(\"span\", {class: \"pill \" + state}, counts.at(-1)));\n" +
	"    sections.push(...these.map(c => section(c, text, now)));\n" +
	"  }\n" +
	"  const after = new URLSearchParams(location.search).get(\"after\"), some = after || data.next, nav = [];\n" +
	"  if (after) nav.push(make(\"a\", {href: location.pathname}, \"First breakers\"));\n" +
	"  if (some) nav.push(`${data.clusters.length} of ${grouped(data.total)} breakers, by name`);\n" +
	"  if (data.next) nav.push(make(\"a\", {href: data.next}, \"Next breakers\"));\n" +
	"  if (!sections.length) sections.push(make(\"p\", {class: \"empty\"}, after ? \"No breaker comes after this.\" : \"No cluster has had a request yet.\"));\n" +
	"  // The title and the icon tell the worst of it to those who keep the page in a tab.\n" +
	"  document.title = `${data.plugin}: ${counts.join(\", \") || \"no breaker yet\"}` + (some ? ` of ${grouped(data.total)}` : \"\");\n" +
	"  document.querySelector(\"link\").href = `data:image/svg+xml,%3Csvg xmlns='http:%2F%2Fwww.w3.org/2000/svg' viewBox='0 0 2 2'%3E%3Ccircle cx='1' cy='1' r='.9' fill='%23${icon || \"818b98\"}'/%3E%3C/svg%3E`;\n" +
	"  put(\"counts\", ...pills);\n" +
	"  put(\"now\", `Plugin ${data.plugin}, ${utc(now)} UTC`);\n" +
	"  put(\"nav\", ...nav);\n" +
	"  put(\"clusters\", ...sections);\n" +
	"  put(\"trouble\");\n" +
	"  put(\"invalid\", data.config_invalid && \"The configuration that was loaded last does not hold; Envoy’s log says why. The last good one stays in force. Where there is none, requests pass without a breaker.\");\n" +
	"  put(\"unmatched\", ...unmatched(data.overrides));\n" +
	"}\n" +
	"\n" +
	"// unmatched names the overrides that have matched nothing; only the first ones of many are known.\n" +
	"function unmatched({total, unmatched, first_unmatched}) {\n" +
	"  if (!unmatched) return [];\n" +
	"  const names = first_unmatched.flatMap(o => [\", \", bold(o.match), ...o.route ? [\" route \", bold(o.route)] : []]).slice(1);\n" +
	"  const more = unmatched - first_unmatched.length;\n" +
	"  return [`Overrides that have matched nothing yet (${grouped(unmatched)}\\u00a0of\\u00a0${grouped(total)}): `, ...names, more ? `, and ${grouped(more)} more` : \"\"];\n" +
	"}\n" +
	"\n" +
	"// Only what is shown is asked for, and never twice at once.\n" +
	"async function refresh() {\n" +
	"  try {\n" +
	"    const answer = await fetch(location.pathname + location.search, {headers: {accept: \"application/json\"}});\n" +
	"    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);\n" +
	"    draw(await answer.json());\n" +
	"  } catch (e) {\n" +
	"    put(\"trouble\", `This page is not up to date. Its last request failed: ${e.message}`);\n" +
	"  }\n" +
	"  setTimeout(refresh, 2000);\n" +
	"}\n" +
	"refresh();\n" +
	"</script>\n" +
	"</body>\n" +
	"</html>\n"
