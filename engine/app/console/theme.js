// Light or dark: as the system has it, unless somebody chose.
const NAME = "switchhook.theme";

export function theme() {
  try {
    return localStorage.getItem(NAME) ?? "system";
  } catch {
    return "system"; // storage may be forbidden
  }
}

export function applyTheme(choice = theme()) {
  if (choice === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  try {
    if (choice === "system") localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, choice);
  } catch {
    // then it holds for this visit
  }
}

export const isDark = () =>
  (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
