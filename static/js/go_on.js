// Sends the form of a page that only leads on; its button does the same without scripts.
document.getElementById("on").submit();
