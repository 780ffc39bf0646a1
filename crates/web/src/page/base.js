// Common script of our pages, placed before each page's own. It keeps ages counting.
"use strict";

const base = (() => {
  const units = [
    [31556952, "year"],
    [86400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];

  const format = new Intl.RelativeTimeFormat("en");

  // Must do the same as `words` in time.rs.
  function words(age) {
    const length = Math.abs(age);
    if (length < 1) {
      return "just now";
    }
    const [unit, name] = units.find(([unit]) => length >= 2 * unit) ?? units.at(-1);
    return format.format(-Math.sign(age) * Math.floor(length / unit), name);
  }

  // Time left until something is due, in the form of `due` in time.rs: it stays "now" from then on.
  function due(age) {
    return age > -1 ? "now" : words(age);
  }

  // Ages are relative to the server's clock, because the browser's may be wrong.
  let servedAt = NaN;
  let readAt = 0;
  let times = [];

  function count() {
    if (document.hidden || Number.isNaN(servedAt)) {
      return;
    }
    const now = servedAt + Date.now() - readAt;
    for (const { text, time, format } of times) {
      const age = format((now - time) / 1000);
      if (text.data !== age) {
        text.data = age;
      }
    }
  }

  // Finds the times in the page, which the server has just sent.
  function readTimes() {
    servedAt = Date.parse(document.querySelector("main").dataset.now);
    readAt = Date.now();
    times = [...document.querySelectorAll("time")].map((element) => ({
      text: element.firstChild,
      time: Date.parse(element.dateTime),
      format: element.hasAttribute("data-due") ? due : words,
    }));
  }

  // The server cannot know the name that it is reached by. fetch refuses paths relative to a URL with
  // credentials.
  function whole(path) {
    return location.origin + path;
  }

  readTimes();
  setInterval(count, 1000);
  document.addEventListener("visibilitychange", count);

  return { readTimes, whole };
})();
