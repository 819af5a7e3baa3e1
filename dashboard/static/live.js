// Keeps a page current. One of a browser's tabs has the stream of changes and tells the others, since a browser opens
// no more than six connections to one server. A page asks for itself again when something that it shows has changed;
// from time to time anyway; and every few seconds while there is no stream, or where it shows no sagas. A tab that nobody
// sees asks for nothing. An answer that is no page leaves the page as it is, and is told below it.
// How it stands is `data-connection` of the body: live, polling, full (as polling, for want of a place) or away.
const RETRY_MS = 10000; // as the server says to whom it refuses a stream
const POLL_MS = 2000; // for a page that does not say how often

const tabs = new BroadcastChannel("live");
let lastId = ""; // of the last message, heard from whichever tab
let state = "polling"; // or "live", or "full": the dashboard answers, but has no stream to give
let isAway = false; // the dashboard does not answer
let failure = ""; // what it answered instead of the page
let source = null; // the stream, in the tab that leads
let stopLeading = null;
let retry, timer;
let isAsking = false, isStale = false; // a request is under way; another one is needed after it
let nextAsk = 0; // not before

const page = () => document.getElementById("live");
const asks = () => Boolean(page()?.dataset.poll); // it keeps current
const follows = () => Boolean(page()?.dataset.sagas); // and shows sagas, of which it can be told
const seconds = (name, otherwise) => (page().dataset[name] ? 1000 * page().dataset[name] : otherwise);

function show() {
  document.body.dataset.connection = isAway ? "away" : state;
  const stale = document.getElementById("stale");
  if (stale.textContent !== failure) { // else it would be read aloud again
    stale.textContent = failure;
  }
  stale.hidden = !failure;
}

// ServiceClient for the page

function ask() {
  if (isAsking) {
    return; // its end plans the next one
  }
  plan(seconds(state === "live" ? "pollLive" : "poll", POLL_MS));
  htmx.trigger(page(), "news");
}

function plan(milliseconds) {
  clearTimeout(timer);
  if (!document.hidden && asks()) {
    timer = setTimeout(ask, Math.max(milliseconds, nextAsk - performance.now()));
  }
}

function refresh() {
  isStale = true;
  if (!isAsking) {
    plan(0);
  }
}

async function told(answer) {
  const error = new DOMParser().parseFromString(await answer.text(), "text/html");
  const words = [...error.querySelectorAll("#live h1, #live h1 + p, #live li")].map((each) => each.textContent.trim());
  return ["This is how it was: the page could not be read again", ...words].join(". ");
}

// Hearing of changes

function hear(news) {
  const shown = page().dataset.sagas;
  const wasLive = state === "live";
  state = news.state ?? state;
  lastId = news.id ?? lastId;
  isAway &&= state !== "live";
  show();
  const isNew = news.sagas?.some((saga) => shown === "*" || shown?.includes(saga));
  // What happened between the making of this page and its first hearing from the leader is not told again.
  const joins = !source && state === "live" && !wasLive;
  const isCut = news.state === "polling"; // so that it is seen at once whether the dashboard is gone
  if (isNew || news.kind === "reset" || joins || isCut) {
    refresh();
  }
}

function tell(news) {
  tabs.postMessage(news);
  hear(news);
}

function connect() {
  source = new EventSource("/live?after=" + encodeURIComponent(lastId));
  source.addEventListener("open", () => tell({ state: "live" }));
  source.addEventListener("error", () => {
    const isRefused = source.readyState === EventSource.CLOSED; // else the browser itself connects again
    tell({ state: isRefused ? "full" : "polling" });
    if (isRefused) {
      retry = setTimeout(connect, RETRY_MS);
    }
  });
  source.addEventListener("reset", (event) => tell({ kind: "reset", id: event.lastEventId }));
  source.addEventListener("changed", (event) => {
    tell({ kind: "changed", id: event.lastEventId, sagas: JSON.parse(event.data).sagas });
  });
}

tabs.addEventListener("message", ({ data }) => {
  if (!follows()) {
    return;
  }
  if (data.kind !== "who leads") {
    hear(data);
  } else if (source) {
    tabs.postMessage({ state, id: lastId });
  }
});

// Who leads: one of those that are seen, for as long as it is

function look() {
  if (navigator.locks && follows() && !stopLeading) { // browsers have them where it is safe: on this machine, or over TLS
    tabs.postMessage({ kind: "who leads" });
    const waiting = new AbortController();
    stopLeading = () => waiting.abort();
    navigator.locks.request("live", { signal: waiting.signal }, () => {
      connect();
      return new Promise((end) => { stopLeading = end; });
    }).catch(() => {}); // it was not its turn yet when nobody looked any more
  }
}

function leave() {
  clearTimeout(timer);
  clearTimeout(retry);
  source?.close();
  source = null;
  state = "polling";
  stopLeading?.();
  stopLeading = null;
}

document.addEventListener("DOMContentLoaded", () => {
  if (!asks()) {
    return; // it shows nothing that changes by itself
  }
  lastId = page().dataset.after ?? "";
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      leave();
    } else {
      refresh(); // for what happened while nobody looked
      look();
    }
  });
  if (!document.hidden) {
    plan(seconds("poll", POLL_MS));
    look();
  }
});
document.addEventListener("htmx:before:request", (event) => {
  if (event.target === page()) {
    [isAsking, isStale] = [true, false];
  }
  // A dashboard that is gone is shown on the page, and is no error of its script.
  event.detail.ctx.fetch = (...request) => fetch(...request).then(async (answer) => {
    isAway = false;
    // A page of an error that asks again may take the place of another one.
    const isPage = answer.ok || (answer.status === 503 && page().querySelector(".error"));
    failure = isPage ? "" : await told(answer);
    return isPage ? answer : new Response(null, { status: 204 });
  }, (error) => {
    if (error.name === "AbortError") {
      throw error;
    }
    isAway = true;
    return new Response(null, { status: 204 }); // htmx leaves the page as it is
  }).finally(show);
});
document.addEventListener("htmx:finally:request", (event) => {
  if (event.target === page()) {
    isAsking = false;
    nextAsk = performance.now() + seconds("gather", 0);
    plan(isStale ? 0 : seconds(state === "live" ? "pollLive" : "poll", POLL_MS));
    if (!document.hidden) {
      look(); // where the page has come that an error stood for
    }
  }
});
