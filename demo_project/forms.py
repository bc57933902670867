from __future__ import annotations

from django import forms
from django.contrib.auth import get_user_model
from django.core.validators import RegexValidator
from django.template.defaultfilters import filesizeformat

LEVELS = ["info", "success", "warning", "error", "debug"]


class ImportForm(forms.Form):
    LARGEST = 50 * 1024 * 1024

    file = forms.FileField(
        label="CSV file",
        max_length=255,
        allow_empty_file=True,  # the importer says what is wrong with it
        widget=forms.FileInput(
            attrs={"accept": ".csv,.tsv,.tab,.txt,text/*", "data-largest": LARGEST}
        ),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > self.LARGEST:
            raise forms.ValidationError(
                f"{file.name} is {filesizeformat(file.size)}. "
                f"The maximum file size is {filesizeformat(self.LARGEST)}."
            )
        return file


class SendForm(forms.Form):
    recipient = forms.ModelChoiceField(
        get_user_model().objects.none(), required=False, empty_label=None
    )
    everyone = forms.BooleanField(label="To everyone instead", required=False)
    level = forms.ChoiceField(choices=[(level, level.capitalize()) for level in LEVELS])
    title = forms.CharField(max_length=200, required=False)
    message = forms.CharField(max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))
    url = forms.CharField(
        label="Link",
        max_length=2000,
        required=False,
        validators=[RegexValidator(r"^(/(?!/)|https?://)", "Begin with / or https://.")],
        widget=forms.TextInput(attrs={"placeholder": "/imports/"}),
    )
    key = forms.CharField(
        max_length=100,
        required=False,
        help_text="A second notification with the same key replaces the first.",
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)
        self.fields["recipient"].queryset = get_user_model().objects.filter(is_active=True)

    def clean(self):
        if not self.cleaned_data.get("everyone") and not self.cleaned_data.get("recipient"):
            self.add_error("recipient", "Choose a recipient, or send to everyone.")
        return self.cleaned_data

    def content(self):
        """What notify.send() takes besides the recipient."""
        return {key: self.cleaned_data[key] for key in ("message", "level", "title", "url", "key")}
