// Requests to /api of this same host. Trouble comes as an Error whose message is meant for people.

export async function ask(path, { method = "GET", body } = {}) {
  let answer;
  try {
    answer = await fetch(`/api${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Error("The rooms cannot be reached. Is the network there?");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.error ?? "The rooms do not answer at the moment. Try again.");
  return content;
}

export function say(element, words) {
  element.textContent = words;
  element.hidden = !words;
}

export function longDay(day) {
  return new Date(`${day}T12:00`).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" });
}
