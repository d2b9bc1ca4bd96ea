// A person with a browser without scripts: opens the address, fills in every form, and follows every redirect.
// Arguments: address, user code (or -), user. Prints the last address it was sent to.
const [start, code, user] = process.argv.slice(2);
const jar = new Map();
const cookies = () => [...jar].map(([name, value]) => `${name}=${value}`).join('; ');

async function go(url, form) {
  for (let hops = 0; hops < 30; hops += 1) {
    const options = { redirect: 'manual', headers: { cookie: cookies() } };
    if (form) Object.assign(options, { method: 'POST', body: new URLSearchParams(form) });
    const answer = await fetch(url, options);
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(';');
      jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    const next = answer.headers.get('location');
    if (!next) return { url, status: answer.status, page: await answer.text() };
    url = new URL(next, url).href;
    form = undefined;
    // The way back to the program: the browser would open it, and the test does so itself.
    if (code === '-' && /[?&]code=/.test(url) && new URL(url).origin !== new URL(start).origin) return { url, status: 0, page: '' };
  }
  throw new Error('too many redirects');
}

let { url, status, page } = await go(start);
for (let steps = 0; steps < 10; steps += 1) {
  const text = page.match(/<form[\s\S]*?<\/form>/i)?.[0];
  if (!text) break;
  const form = {};
  for (const [input] of text.matchAll(/<(?:input|button)[^>]*>/gi)) {
    const of = (name) => input.match(new RegExp(`\\b${name}="([^"]*)"`, 'i'))?.[1];
    // A button that gives up is not pressed.
    if (of('name') && of('name') !== 'abort') form[of('name')] = of('value') ?? '';
  }
  if ('user_code' in form && !form.user_code) form.user_code = code;
  if ('login' in form) Object.assign(form, { login: user, password: 'x' });
  const action = text.match(/<form[^>]*\baction="([^"]*)"/i)?.[1];
  ({ url, status, page } = await go(action ? new URL(action, url).href : url, form));
}
if (status >= 400) { console.error(page); process.exit(1); }
console.log(url);
