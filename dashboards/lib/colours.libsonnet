// What a colour means, said once. Names of Grafana's own palette, which has a shade of each for the light and for the dark theme.
// A colour is never all there is: a word, a number or a legend says the same.
{
  // What is not known, and what is neither good nor bad.
  neutral: 'text',
  fine: 'green',
  // Somebody should look at it within the working day.
  look: 'orange',
  // Users are hurt, or a limit is reached at which an alert fires.
  hurt: 'red',
  // Something happened: neither good nor bad.
  note: 'blue',
}
