// Accepts the invitation whose code is behind the # of the address.
const form = document.getElementById("form");
const outcome = document.getElementById("outcome");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const order = {
    token: location.hash.slice(1),
    password: document.getElementById("password").value,
  };
  const name = document.getElementById("name").value.trim();
  if (name) {
    order.name = name;
  }
  outcome.textContent = "";
  try {
    const answer = await fetch("/api/v1/invitations/accept", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(order),
    });
    const body = await answer.json();
    if (answer.ok) {
      form.hidden = true;
      outcome.textContent = `You are a member of ${body.tenant_id} now, with the role ${body.role}.`;
    } else {
      const faults = (body.errors || []).map((fault) => fault.detail);
      outcome.textContent = [body.detail, ...faults].join("; ");
    }
  } catch {
    outcome.textContent = "The server does not answer; try again.";
  }
});
