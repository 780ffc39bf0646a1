// What the scripts of our pages share; it stands before each of them. Ages keep counting by it.
"use strict";

const base = (() => {
  const units = [
    [31556952, "year"],
    [86400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];

  // The same as `words` in time.rs.
  function words(age) {
    const length = Math.abs(age);
    if (length < 1) {
      return "just now";
    }
    const [unit, name] = units.find(([unit]) => length >= 2 * unit) ?? units.at(-1);
    const count = Math.floor(length / unit);
    const text = `${count} ${name}${count === 1 ? "" : "s"}`;
    return age < 0 ? `in ${text}` : `${text} ago`;
  }

  // What is due stays so, as `due` in time.rs has it.
  function due(age) {
    return age > -1 ? "now" : words(age);
  }

  // Ages count from the server's clock: the browser's may be wrong.
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

  // The server cannot know under which name it is reached. Relative to a URL with credentials, fetch refuses.
  function whole(path) {
    return location.origin + path;
  }

  readTimes();
  setInterval(count, 1000);
  document.addEventListener("visibilitychange", count);

  return { readTimes, whole };
})();
