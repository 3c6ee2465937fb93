// A guest's invitation: what it is for, and the guest's answer.

import { ask, longDay, say } from "./api.js";

const find = (id) => document.getElementById(id);
const token = location.pathname.split("/").at(-1);

try {
  const invitation = await ask(`/invitations/${token}`);
  document.title = invitation.title;
  find("guest").textContent = `${invitation.guest}, you are invited`;
  find("title").textContent = invitation.title;
  find("facts").textContent = `${longDay(invitation.day)}, ${invitation.start} to ${invitation.end}, in ${invitation.room_name}. ${invitation.who} asks you.`;
  find("acts").hidden = false;
  show(invitation.coming);
} catch (error) {
  find("title").textContent = "This did not work";
  say(find("trouble"), error.message);
}

for (const [id, coming] of [["yes", true], ["no", false]]) {
  find(id).addEventListener("click", async () => {
    try {
      await ask(`/invitations/${token}`, { method: "POST", body: { coming } });
      say(find("trouble"), "");
      show(coming);
    } catch (error) {
      say(find("trouble"), error.message);
    }
  });
}

function show(coming) {
  find("yes").setAttribute("aria-pressed", String(coming === true));
  find("no").setAttribute("aria-pressed", String(coming === false));
  find("state").textContent = coming === null ? "" : coming ? "They know that you come." : "They know that you cannot.";
}
