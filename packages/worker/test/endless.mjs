// A module that never has been loaded.

for (;;);
