// The single-page example: it shows the user and other sessions, and logs out, without loading a page.

const app = document.getElementById("app");
const said = document.getElementById("said");
const urls = app.dataset;
// The page after a second factor.
const back = `?${new URLSearchParams({ return_to: location.pathname })}`;
const BROWSERS = { Edg: "Edge", OPR: "Opera", Firefox: "Firefox", Chrome: "Chrome", Safari: "Safari" };

// Requests to the site. A request without an answer has the status 0.

async function ask(url, method = "GET") {
  const headers = { Accept: "application/json" };
  // Read it each time: Django makes a new token at each sign-in.
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  try {
    const response = await fetch(url, { method, headers });
    const isJson = (response.headers.get("Content-Type") ?? "").startsWith("application/json");
    return { status: response.status, body: isJson ? await response.json() : {} };
  } catch {
    return { status: 0, body: {} };
  }
}

function csrfToken() {
  const pairs = document.cookie.split("; ").map((pair) => pair.split("="));
  return Object.fromEntries(pairs)[urls.csrfCookie] ?? "";
}

// Display

async function refresh(words = "") {
  const who = await ask(urls.whoami + back);
  if (who.status !== 200) return showRefusal(who);
  // Users who signed in by a password of this site have no sessions at Kratos.
  const none = { status: 200, body: [] };
  const [profile, others] = await Promise.all([ask(urls.profile), who.body.issuer ? ask(urls.sessions + back) : none]);
  const refusal = [profile, others].find(({ status }) => status !== 200);
  if (refusal) return showRefusal(refusal);
  fill(app, { ...who.body, ...profile.body });
  list(others.body);
  show("signed-in", words);
}

function showRefusal({ status, body }, words = "") {
  if (status === 401) return show("signed-out", words);
  if (body.error !== "session_aal2_required") return show("unavailable");
  if (body.redirect_browser_to) app.querySelector("[data-show=step-up]").href = body.redirect_browser_to;
  show("second-factor");
}

function show(state, words = "") {
  const isAnother = "state" in app.dataset && app.dataset.state !== state;
  app.dataset.state = state;
  for (const section of app.querySelectorAll("section")) section.hidden = section.dataset.state !== state;
  said.textContent = words;
  said.hidden = !words;
  // Focus the heading, so that screen readers read the new page.
  if (isAnother) document.getElementById(state).focus();
}

function list(others) {
  const items = others.map((session) => {
    const item = document.getElementById("session").content.cloneNode(true);
    const device = deviceName(session.devices[0]?.user_agent ?? "");
    const since = new Date(session.authenticated_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    fill(item, { device, since });
    const button = item.querySelector("button");
    button.setAttribute("aria-label", `End the session in ${device}`);
    button.addEventListener("click", () => end(`${urls.sessions}${session.id}/`, "That session has ended."));
    return item;
  });
  app.querySelector("ul").replaceChildren(...items);
  app.querySelector("[data-others=none]").hidden = items.length > 0;
  app.querySelector("[data-others=some]").hidden = items.length === 0;
}

function fill(node, values) {
  for (const place of node.querySelectorAll("[data-show]")) {
    if (place.dataset.show in values) place.textContent = values[place.dataset.show];
  }
}

function deviceName(userAgent) {
  const name = Object.keys(BROWSERS).find((part) => userAgent.includes(part));
  return BROWSERS[name] ?? (userAgent.slice(0, 60) || "Unknown browser");
}

// User actions

async function end(url, words) {
  const ended = await ask(url + back, "DELETE");
  if (ended.status >= 300 || ended.status === 0) return showRefusal(ended, "Your session has ended.");
  return refresh(words);
}

async function logOut(event) {
  event.preventDefault();
  const flow = await ask(urls.logoutFlow);
  if (flow.status === 401 && (await ask(urls.whoami)).status === 401) return show("signed-out", "Your session had ended.");
  if (flow.status !== 200) return logOutByForm(event.target);
  const { status } = await ask(flow.body.logout_url);
  if (status === 204) return show("signed-out", "You are logged out.");
  if (status === 503) return show("signed-out", "You are logged out here. The sign-in service could not be told: log out there too.");
  return refresh();
}

// The site's own logout needs neither Kratos nor this script.
function logOutByForm(form) {
  form.elements.csrfmiddlewaretoken.value = csrfToken();
  form.submit();
}

for (const form of app.querySelectorAll("form")) form.addEventListener("submit", logOut);
document.getElementById("end-others").addEventListener("click", () => end(urls.sessions, "All others have ended."));
document.getElementById("try-again").addEventListener("click", () => refresh());
// When the user comes back to this page, check whether the session has ended in another tab or on another device.
document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
