from django.db import models


class Document(models.Model):
    """A row with a file, as the Django tutorial has it."""

    file = models.FileField(upload_to="documents")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "plain"

    def __str__(self) -> str:
        return str(self.file)
